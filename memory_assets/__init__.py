"""What is made: every derived memory as a Dagster asset; and, by the name that one installs, the client.

from memory_assets import MemoryClient
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client import MemoryClient

__all__ = ["MemoryClient"]


def __getattr__(name: str) -> Any:
    # Only where it is asked for: every step of a run imports this package, and needs no client.
    if name == "MemoryClient":
        from serving.client import MemoryClient

        return MemoryClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
