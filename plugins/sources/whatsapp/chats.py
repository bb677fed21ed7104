"""Which WhatsApp chat an export is, and who in it is the agent: by what it says, so that a file may be renamed or exported again."""

import re
import unicodedata
from dataclasses import dataclass

from plugins.contracts import SourceOptions
from plugins.sources.people import named_agent, nobody_is
from plugins.sources.whatsapp.survey import People
from plugins.sources.whatsapp.words import words
from records.ids import content_id
from records.names import fold, same_name

COPIES = re.compile(r"(?:\s?\(\d+\)|\s-\s(?:copy|copia|kopie)|\scopy)+$", re.IGNORECASE)
"""What a second download or a copy adds to a file's name."""
NUMBER = re.compile(r"^\+?[\d\s().\-\u2010-\u2015]{7,30}$")
SYMBOLS = ("S", "C", "M", "Z")
"""Classes of characters that ornament a name."""


@dataclass(frozen=True)
class Known:
    """Which chat it is and who is who.

    Attributes:
        chat: The same for every export of this chat, another for every other.
        agent: Whose memory it goes to.
        written: How the chat writes the agent's name; nothing where the agent says nothing.
        user: Whom the chat belongs to, None for a group.
        group: Whether several people speak.
    """

    chat: str
    agent: str
    written: frozenset[str]
    user: str | None
    group: bool


def known(people: People, options: SourceOptions, file: str, stem: str) -> tuple[Known, str | None]:
    """Return which chat it is, and a note where the agent that was named says nothing in it.

    Raises:
        SourceError: no agent was named.
    """
    speakers = people.participants
    agent = named_agent(options, speakers, file)
    written = _as_written(agent, speakers)
    note = None if written or not speakers else nobody_is(options, speakers, file)
    others = [name for name in speakers if name not in written]
    title = _title(stem, options.called)
    signer = people.signer if people.signer is not None and people.signer not in speakers else None
    is_group = people.is_group or len(speakers) > 2 or (signer is not None and len(speakers) == 2)
    if is_group:
        name = people.group_name or signer or title
        chat = f"group/{fold(name) if name else _by_first(people)}"
    elif others:
        chat = "+".join(sorted({fold(name) for name in others}))
    else:
        chat = fold(signer or title or options.user or agent)
    group = is_group or len(others) > 1
    user = options.user or (others[0] if len(others) == 1 and not group else None)
    if user is None and not group and not others:
        user = signer or title
    return Known(chat, agent, written, user, group), note


def _as_written(agent: str, speakers: list[str]) -> frozenset[str]:
    """Return the names under which the agent speaks: whatever case, accents, ornaments, or spaces in a number."""
    found = [name for name in speakers if same_name(name, agent)]
    for same in (_same_letters, _same_number):
        if not found:
            alike = [name for name in speakers if same(name, agent)]
            found = alike if len(alike) == 1 else []
    return frozenset(found)


def _same_letters(one: str, other: str) -> bool:
    letters = [
        fold("".join(c for c in name if not unicodedata.category(c).startswith(SYMBOLS) or c == " "))
        for name in (one, other)
    ]
    return bool(letters[0]) and letters[0] == letters[1]


def _same_number(one: str, other: str) -> bool:
    if not (NUMBER.match(one) and NUMBER.match(other)):
        return False
    digits = ["".join(c for c in number if c.isdigit()) for number in (one, other)]
    return digits[0] == digits[1]


def _title(stem: str, called: str | None) -> str | None:
    """Return whom an export is with, by the name that WhatsApp gives its file or archive, in any language."""
    for name in (stem, called):
        if not name:
            continue
        plain = COPIES.sub("", unicodedata.normalize("NFC", name).replace("_", " ").strip())
        for pattern in words().exports:
            found = pattern.match(plain)
            if found is not None:
                return COPIES.sub("", found[1]).strip() or None
    return None


def _by_first(people: People) -> str:
    """Return an id of a group that nothing names: of the first thing that somebody said in it."""
    since = "" if people.since is None else people.since.isoformat()
    return content_id("g", since, *(people.first or ()))[:14]
