"""The `memory` command: a person's door. Every sub-command has --help and --json."""

import warnings

from commands import adapters, data, exporting, importing, making, migrate, people, privacy, repairing, ui
from commands.base import app, damage_behind, err
from records.errors import MemoryAssetsError

__all__ = [
    "adapters",
    "app",
    "data",
    "exporting",
    "importing",
    "main",
    "making",
    "migrate",
    "people",
    "privacy",
    "repairing",
    "ui",
]


def main() -> None:
    """Run the command; a mistake of the user is one sentence and exit code 2, never a stack trace."""
    # Dagster says at every definition that single-run backfills are beta: that is for its developers, not for who imports a chat.
    warnings.filterwarnings("ignore", module=r"dagster\.")
    try:
        app()
    except MemoryAssetsError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        err.print("stopped; what was finished is kept, the next run does the rest")
        raise SystemExit(130) from None
    except BaseException as error:
        told = damage_behind(error)
        if told is None:
            raise
        err.print(f"error: {told}", style="red", markup=False, highlight=False)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
