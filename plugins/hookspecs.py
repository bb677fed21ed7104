"""The two hooks through which everything replaceable comes in. Built-in plugins use them like any other."""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from plugins.contracts import Plugin

NAMESPACE = "memory_assets"

hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def register_plugins() -> "list[type[Plugin]]":  # type: ignore[empty-body]  # pluggy: a specification has no body
    """Return plugin classes (see `plugins.contracts`)."""


@hookspec
def dagster_definitions() -> Any:
    """Return a `dagster.Definitions` with further assets, or None. Called by the code location only."""
