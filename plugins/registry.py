"""Finds plugins (built in, installed packages, one-file plugins of a folder) and makes the chosen ones.

Two plugins of one kind with one name are an error that names both packages, raised when that name is asked for.
A broken plugin is listed with its error; the rest loads.
"""

import importlib
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pluggy
from pydantic import ValidationError

from plugins import hookspecs
from plugins.contracts import DEFAULTS, KINDS, LLM, Plugin
from records.errors import PluginError

ENTRY_POINTS = "memory_assets"
BUILT_IN = "memory-assets"


@dataclass(frozen=True)
class PluginInfo:
    """A line of `memory plugins`."""

    kind: str
    name: str
    version: str
    package: str
    status: str
    cls: type[Plugin] | None = None


class PluginRegistry:
    """All plugins of an installation.

    Args:
        choices: Kind to (name, options), from settings.
        plugins_dir: Folder with one-file plugins.
        allow: Packages (or file names) of third parties that may load; None allows all.
        scratch: Folder for what imports unpack or copy; None: among the system's temporary files.
    """

    def __init__(
        self,
        choices: dict[str, tuple[str, dict[str, Any]]] | None = None,
        plugins_dir: Path | None = None,
        allow: Sequence[str] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.choices, self.scratch = choices or {}, scratch
        self.manager = pluggy.PluginManager(hookspecs.NAMESPACE)
        self.manager.add_hookspecs(hookspecs)
        for kind in self.choices:
            if kind not in KINDS:
                raise PluginError(f"plugins.{kind}: no such kind of plugin; kinds are {', '.join(sorted(KINDS))}")
        self._infos: list[PluginInfo] = []
        self._built_in_loaded = self._sources_loaded = False
        self._load_entry_points(allow)
        self._load_folder(plugins_dir, allow)

    # -- loading --------------------------------------------------------------------------------------------------

    @property
    def infos(self) -> list[PluginInfo]:
        """Return what is known of every plugin. Built-in ones load when first asked for: the code location never does."""
        return self._known(sources=True)

    def _known(self, *, sources: bool) -> list[PluginInfo]:
        """Return what is known of plugins; the built-in sources, a fifth of a second to import, only where they are asked for."""
        if not self._built_in_loaded:
            self._built_in_loaded = True
            from plugins import builtin

            self._take(builtin, BUILT_IN)
        if sources and not self._sources_loaded:
            self._sources_loaded = True
            from plugins import builtin_sources

            self._take(builtin_sources, BUILT_IN, "sources")
        return self._infos

    def _load_entry_points(self, allow: Sequence[str] | None) -> None:
        for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
            package = entry.dist.name if entry.dist else entry.value
            if allow is not None and package not in allow:
                self._infos.append(PluginInfo("?", entry.name, "?", package, "not allowed (plugins_allow)"))
                continue
            try:
                module = entry.load()
            except Exception as error:  # noqa: BLE001 - a stranger's import may fail in any way; it is named, not hidden
                self._infos.append(PluginInfo("?", entry.name, "?", package, f"broken: {_what(error)}"))
                continue
            self._take(module, package)

    def _load_folder(self, folder: Path | None, allow: Sequence[str] | None) -> None:
        if folder is None or not folder.is_dir():
            return
        for path in sorted(folder.glob("*.py")):
            if allow is not None and path.name not in allow:
                self._infos.append(PluginInfo("?", path.stem, "?", path.name, "not allowed (plugins_allow)"))
                continue
            try:
                spec = importlib.util.spec_from_file_location(f"memory_plugin_{path.stem}", path)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
            except Exception as error:  # noqa: BLE001 - as above
                self._infos.append(PluginInfo("?", path.stem, "?", path.name, f"broken: {_what(error)}"))
                continue
            code = blake2b(path.read_bytes(), digest_size=8).hexdigest()
            for own in vars(module).values():
                if isinstance(own, type) and issubclass(own, Plugin) and own.__module__ == module.__name__:
                    own.code = code
            self._take(module, path.name)

    def _take(self, module: Any, package: str, part: str = "") -> None:
        """Register a module (a ``part`` of its package) and list its plugins; what it says must hold, or it is broken."""
        try:
            self.manager.register(module, name=f"{package} {part}".strip())
            hook = getattr(module, "register_plugins", None)
            classes = hook() if hook else []
            for cls in classes:
                self._infos.append(self._checked(cls, package))
        except Exception as error:  # noqa: BLE001 - as above
            if self.manager.has_plugin(package):
                self.manager.unregister(name=package)
            self._infos.append(PluginInfo("?", package, "?", package, f"broken: {_what(error)}"))

    @staticmethod
    def _checked(given: Any, package: str) -> PluginInfo:
        kind, name = getattr(given, "kind", ""), getattr(given, "name", "")
        base = KINDS.get(kind)
        if base is None or not isinstance(given, type) or not issubclass(given, base) or not name:
            return PluginInfo(
                kind or "?", name or repr(given)[:60], "?", package, "broken: not a class of a known kind with a name"
            )
        if inspect.isabstract(given):
            missing = ", ".join(sorted(given.__abstractmethods__))
            return PluginInfo(kind, name, given.version, package, f"broken: does not have {missing}")
        return PluginInfo(kind, name, given.version, package, "ok", given)

    # -- asking ---------------------------------------------------------------------------------------------------

    def listing(self) -> list[PluginInfo]:
        """Return every plugin, chosen and conflicting ones marked, ordered by kind and name."""
        rows = []
        for info in self.infos:
            status = info.status
            if info.cls is not None:
                others = [o.package for o in self._named(info.kind, info.name) if o.package != info.package]
                if others:
                    status = f"conflict with {', '.join(others)}"
                elif self.chosen(info.kind) == info.name:
                    status = "in use"
            rows.append(PluginInfo(info.kind, info.name, info.version, info.package, status, info.cls))
        return sorted(rows, key=lambda row: (row.kind, row.name, row.package))

    def chosen(self, kind: str) -> str | None:
        """Return the name of the plugin used for a kind; None for sources, which are chosen by file."""
        return self.choices[kind][0] if kind in self.choices else DEFAULTS.get(kind)

    def _named(self, kind: str, name: str) -> list[PluginInfo]:
        known = self._known(sources=kind == "source")
        return [info for info in known if info.cls is not None and (info.kind, info.name) == (kind, name)]

    def get(self, kind: str, name: str) -> type[Plugin]:
        """Return the class of a plugin.

        Raises:
            PluginError: none has this name, or two packages give it.
        """
        found = self._named(kind, name)
        if not found:
            names = sorted({info.name for info in self.infos if info.kind == kind and info.cls})
            broken = [f"{info.package} ({info.status})" for info in self.infos if info.cls is None]
            hint = f"; did not load: {', '.join(broken)}" if broken else ""
            raise PluginError(f"no {kind} plugin named {name!r}; there are {', '.join(names)}{hint}")
        if len(found) > 1:
            packages = " and ".join(info.package for info in found)
            raise PluginError(f"{kind} plugin {name!r} is given by {packages}: uninstall one, or set plugins_allow")
        cls = found[0].cls
        assert cls is not None
        return cls

    def create(self, kind: str, *, name: str | None = None, llm: LLM | None = None, **options: Any) -> Any:
        """Make the chosen plugin of a kind (or the named one), configured from settings and ``options``.

        Raises:
            PluginError: no such plugin, or its configuration does not fit.
        """
        wanted = name or self.chosen(kind)
        if wanted is None:
            raise PluginError(f"plugins.{kind}: no plugin is chosen; add `use = …` to the settings")
        cls = self.get(kind, wanted)
        given = dict(self.choices[kind][1]) if kind in self.choices and self.choices[kind][0] == wanted else {}
        try:
            config = cls.Config(**{**given, **options})
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise PluginError(
                f"plugins.{kind} ({wanted}): {problems}; known options are "
                f"{', '.join(cls.Config.model_fields) or 'none'}"
            ) from None
        return cls(config, llm=llm)

    def names(self, kind: str) -> list[str]:
        """Return the names of the plugins of a kind that loaded."""
        return sorted({info.name for info in self.infos if info.kind == kind and info.cls})

    def contributed_definitions(self) -> list[tuple[str, Any]]:
        """Return (package, Definitions) of the plugins that bring assets; a failing hook marks its package as broken."""
        found = []
        for module in self.manager.get_plugins():
            hook = getattr(module, "dagster_definitions", None)
            if hook is None:
                continue
            package = self.manager.get_name(module) or "?"
            try:
                definitions = hook()
            except Exception as error:  # noqa: BLE001 - as above
                self._infos.append(PluginInfo("assets", package, "?", package, f"broken: {_what(error)}"))
                continue
            if definitions is not None:
                found.append((package, definitions))
        return found


def _what(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
