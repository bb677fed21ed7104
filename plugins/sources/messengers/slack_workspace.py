"""Who and what the ids of a Slack export mean: its lists of users, channels and conversations."""

from pathlib import Path
from typing import Any, NamedTuple

from plugins.sources.fields import identity, listing, mapping, mappings, string
from plugins.sources.reading import read_json
from records.names import cleaned

LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json")
NAMES = ("display_name", "real_name", "name", "display_name_normalized", "real_name_normalized", "first_name")


class Channel(NamedTuple):
    """A channel, a group or a direct conversation; members are ids of users, None where nobody says who they are."""

    id: str
    name: str
    members: list[str] | None
    direct: bool


class Workspace:
    """Who and what the ids of an export mean; empty where only a day's file is there."""

    def __init__(self, folder: Path | None, encoding: str | None) -> None:
        self.names: dict[str, list[str]] = {}
        self.channels: dict[str, Channel] = {}
        if folder is None:
            return
        for user in mappings(_list(folder / "users.json", encoding)):
            number = identity(user.get("id"))
            if number is not None:
                self.names[number] = names_of(mapping(user.get("profile"))) + names_of(user)
        for name in LISTS:
            for item in mappings(_list(folder / name, encoding)):
                number, shown = identity(item.get("id")), string(item.get("name"))
                members = [member for each in listing(item.get("members")) if (member := identity(each))] or None
                if number is not None:
                    # The folder of a direct conversation is called by its id.
                    channel = Channel(number, shown or number, members, direct=name == "dms.json")
                    self.channels[shown or number] = channel

    def shown(self, user: str) -> str | None:
        """Return the name that a user shows."""
        return next(iter(self.names.get(user, ())), None)

    def channel_name(self, number: str) -> str | None:
        """Return the name of a channel by its id."""
        return next((channel.name for channel in self.channels.values() if channel.id == number), None)


def names_of(profile: dict[str, Any]) -> list[str]:
    """Return the names that a user or a profile has, the shown one first."""
    return [cleaned(name).strip() for key in NAMES if (name := string(profile.get(key)))]


def _list(path: Path, encoding: str | None) -> Any:
    return read_json(path, encoding) if path.is_file() else []
