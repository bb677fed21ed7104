"""Which source reads what: a file by its content, a folder or an archive as a whole or file by file."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plugins.contracts import Source
from plugins.registry import PluginRegistry
from plugins.sources.foreign import what_holds, what_is
from plugins.sources.reading import checked, files_in, head_of, is_archive, is_folder, unpacked
from plugins.sources.scratch import scratch, within
from records.errors import SourceError

SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Offer:
    """A target and the source that reads it.

    Attributes:
        file: What the target is called in messages and rejects.
        called: Name of the archive or folder that it was found in.
    """

    source: Source
    target: str
    file: str
    called: str | None = None


@contextlib.contextmanager
def offers(registry: PluginRegistry, target: str, name: str | None = None) -> Iterator[list[Offer]]:
    """Yield who reads a target: one source for a file or a database, one or several for a folder or an archive.

    Texts of an archive are unpacked into a folder of the registry's ``scratch``, which is gone afterwards.

    Raises:
        SourceError: it is not there, or no format fits.
    """
    with within(registry.scratch):
        if "://" in target:
            source = choose_source(registry, target, name)
            if source.suffixes:
                raise SourceError(
                    f"a URL is read as a database (sql), not as {source.name}, which is a format of files"
                )
            # A URL's password is kept nowhere.
            yield [Offer(source, target, target.rsplit("@", 1)[-1])]
            return
        path = Path(target)
        if is_folder(path):
            with scratch() as inside:
                yield _of_folder(registry, path, path.name, name, inside)
        elif is_archive(checked(path)):
            with scratch() as root:
                _unpack(path, root)
                yield _of_folder(registry, root, path.name, name)
        else:
            yield [Offer(choose_source(registry, target, name), target, path.name)]


def choose_source(registry: PluginRegistry, target: str, name: str | None) -> Source:
    """Return the source plugin for a file: the named one, or the one that recognises it.

    Raises:
        SourceError: no format fits.
    """
    if name is not None:
        source: Source = registry.create("source", name=name)
        return source
    if "://" in target:
        return registry.create("source", name="sql")
    path = checked(Path(target))
    found = _recognised(_sources(registry), path)
    if found is None:
        known = ", ".join(registry.names("source"))
        if path.open("rb").read(len(SQLITE)) == SQLITE:
            raise SourceError(
                f"{path.name}: a SQLite database; import a table of it: sqlite:///{path.name} --table TABLE"
            )
        foreign = what_is(path, head_of(path))
        if foreign is not None:
            raise SourceError(f"{path.name}: {foreign}")
        raise SourceError(
            f"{path.name}: no format recognises this file; name one with --format ({known}), "
            "or bring it into CSV with the columns occurred_at, speaker_name and text"
        )
    return found


def _sources(registry: PluginRegistry) -> list[Source]:
    return [registry.create("source", name=known) for known in registry.names("source")]


def _recognised(sources: list[Source], path: Path) -> Source | None:
    """Return the most particular source that recognises a file; plain tables go by the suffix alone."""
    head = head_of(path)
    fitting = [source for source in sources if source.sniff(path, head)]
    return min(fitting, key=lambda source: (source.general, source.name)) if fitting else None


def _unpack(path: Path, folder: Path) -> None:
    """Take the texts of an archive into a folder.

    Raises:
        SourceError: it holds none, or is a document.
    """
    foreign = what_holds(path)
    if foreign is not None:
        raise SourceError(f"{path.name}: {foreign}")
    if not unpacked(path, folder):
        raise SourceError(f"{path.name}: the archive holds no text that could be a chat")


def _of_folder(
    registry: PluginRegistry, folder: Path, called: str, name: str | None, inside: Path | None = None
) -> list[Offer]:
    """Return the source that reads a folder as a whole, or one per file that is recognised, in order of their names.

    Archives in it are unpacked into ``inside``, a folder each, where one is given.
    """
    stem = Path(called).stem if called.lower().endswith(".zip") else called
    sources = [registry.create("source", name=name)] if name is not None else _sources(registry)
    whole = [source for source in sources if source.sniff_folder(folder)]
    if whole:
        return [Offer(min(whole, key=lambda source: source.name), str(folder), called, stem)]
    found = []
    for path in files_in(folder):
        if not path.stat().st_size:
            continue
        if inside is not None and path.suffix.lower() == ".zip" and is_archive(path) and what_holds(path) is None:
            packed = inside / str(len(list(inside.iterdir())))
            packed.mkdir()
            if unpacked(path, packed):
                with contextlib.suppress(SourceError):
                    found += _of_folder(registry, packed, path.name, name)
            continue
        source = sources[0] if name is not None else _recognised(sources, path)
        if source is not None:
            found.append(Offer(source, str(path), str(path.relative_to(folder)), stem))
    if not found:
        known = ", ".join(registry.names("source"))
        foreign = next((told for path in files_in(folder) if (told := what_is(path, head_of(path))) is not None), None)
        if foreign is not None:
            raise SourceError(f"{called}: no file in it is recognised; the first that is known is {foreign}")
        raise SourceError(f"{called}: no file in it is recognised; name the format with --format ({known})")
    return found
