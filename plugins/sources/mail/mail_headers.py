"""The headers of a mail as text: names and addresses, encoded words, and the time it was sent."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_tz

from plugins.contracts import SourceOptions
from plugins.sources.mail.mail_files import Letter
from plugins.sources.mail.mail_text import decoded
from plugins.sources.times import in_utc
from records.names import cleaned

UNIVERSAL = re.compile(r"[+-]\d{4}\b|\b(?:UTC?|GMT|Z)\b")
FAR = timedelta(hours=24)
LONGEST_HEADER = 20_000

UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    RecursionError,
    HeaderParseError,
)
"""What the parts of `email` raise for mails that no mail program ever wrote."""


class Nothing(ValueError):
    """Nobody says anything in a mail; the text says why, without anything of it."""


def people_of(mail: Message, header: str) -> list[tuple[str | None, str]]:
    """Return the shown names and the addresses, in lower case, of a header."""
    found = []
    try:
        pairs = getaddresses(_raw(mail, header))
    except UNREADABLE:
        return []
    for name, address in pairs:
        shown = " ".join(cleaned(_unfolded(name)).split())
        written = cleaned(address).strip().lower()
        if written or shown:
            found.append((shown or None, written or shown.lower()))
    return found


def header_of(mail: Message, name: str) -> str:
    """Return a header as text, empty where there is none."""
    return cleaned(" ".join(_unfolded(next(iter(_raw(mail, name)), "")).split()))


def _raw(mail: Message, name: str) -> list[str]:
    """Return the values of a header as they stand in the file: bytes that are no ASCII are escaped, not lost."""
    return [str(value)[:LONGEST_HEADER] for key, value in mail.raw_items() if key.lower() == name.lower()]


def _unfolded(text: str) -> str:
    """Return a header with its encoded words as text; raw bytes are taken as UTF-8 or Latin-1."""
    try:
        parts = decode_header(text)
    except UNREADABLE:
        return text
    shown = "".join(part if isinstance(part, str) else decoded(part, charset or "utf-8") for part, charset in parts)
    raw = any("\udc80" <= letter <= "\udcff" for letter in shown)
    return decoded(shown.encode("utf-8", "surrogateescape"), "utf-8") if raw else shown


def when_sent(mail: Message, letter: Letter, options: SourceOptions) -> datetime:
    """Return when a mail was sent, else when it was received, else what the mbox says.

    Raises:
        Nothing: nothing says it.
    """
    received = (value.rpartition(";")[2] for value in _raw(mail, "Received"))
    for text in (*(header_of(mail, name) for name in ("Date", "Resent-Date", "Delivery-Date")), *received):
        moment = _date(text, options)
        if moment is not None:
            return moment
    # The line before a mail has the time of Greenwich.
    moment = _date(f"{letter.stamp} +0000", options) or _date(letter.stamp, options)
    if moment is not None:
        return moment
    raise Nothing("a mail without a date")


def _date(text: str, options: SourceOptions) -> datetime | None:
    try:
        found = parsedate_tz(text[:200])
        if found is None:
            return None
        year, month, day, hour, minute, second = found[:6]
        moment = datetime(year, month, day, hour, minute, min(second, 59))
        away = timedelta(seconds=found[9] or 0)
        if not away and not UNIVERSAL.search(text):
            return in_utc(moment, options)
        return moment.replace(tzinfo=timezone(away) if abs(away) < FAR else UTC).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
