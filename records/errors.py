"""The errors a person sees. Each message says what, where and what to do; none carries a user's text, name or id."""


class MemoryAssetsError(Exception):
    """Root of every error this project raises on purpose."""


class SettingsError(MemoryAssetsError):
    """A setting is unknown or has a value that cannot be used."""


class SourceError(MemoryAssetsError):
    """A file or a database cannot be read as the chosen source."""


class AgentNeeded(SourceError):
    """A chat does not say which of its speakers is the agent; ``speakers`` are their names."""

    def __init__(self, message: str, speakers: list[str]) -> None:
        super().__init__(message)
        self.speakers = speakers


class PluginError(MemoryAssetsError):
    """A plugin is missing, broken, or clashes with another one."""


class StoreError(MemoryAssetsError):
    """The interaction store refused an operation."""


class ErasedMeanwhile(StoreError):
    """Something was erased between the reading and the writing; what was made of it is not written."""


class StoreUnreachable(StoreError):
    """The interaction store is gone, locked, damaged, full or not listening; what was asked for may work later."""


REPAIR = "`memory repair` removes it and makes it again"
"""What mends a file that is made from others."""


class DamagedError(StoreError):
    """A file of the installation cannot be read. ``path`` is relative to the installation; the message says what mends it."""

    def __init__(self, path: str, mend: str = REPAIR, *, how: str = "damaged") -> None:
        super().__init__(f"{path} is {how}: {mend}")
        self.path = path


class StoreDamaged(DamagedError, StoreUnreachable):
    """The interaction store itself cannot be read."""


class RecordError(MemoryAssetsError):
    """A frame does not have the shape its record demands."""


class ModelError(MemoryAssetsError):
    """An SQL model or its tests cannot be read or run; the message names file and line."""


class TrainingError(MemoryAssetsError):
    """Training cannot start or has failed; the last good adapter stays where it is."""
