"""Mail: mbox files, a conversation a thread. How the file is cut and a body is read stands in mail_files.py and mail_text.py."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_tz
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.mail_files import Letter, headers_of, is_mail, letters
from plugins.sources.mail_text import decoded, plain_text
from plugins.sources.normalise import cleaned, reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from plugins.sources.times import in_utc
from records.errors import SourceError

MESSAGE_ID = re.compile(r"<([^<>\s]{1,250})>")
REPLY = re.compile(r"^(?:\s*(?:re|rv|aw|sv|antw|fwd?|wg|tr|r|enc|res)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
DIGEST = re.compile(r"\bdigest\b.{0,40}\bvol(?:ume)?\b.{0,20}\bissue\b", re.IGNORECASE)
ROBOTS = re.compile(r"(?:mailer-daemon|postmaster|mail-daemon|no-?reply-dmarc\S*)@.*", re.IGNORECASE)
UNSENT = re.compile(r"\b(?:spam|trash|drafts?|papelera|borrador(?:es)?)\b", re.IGNORECASE)
UNIVERSAL = re.compile(r"[+-]\d{4}\b|\b(?:UTC?|GMT|Z)\b")
FAR = timedelta(hours=24)
LONGEST_HEADER = 20_000
NESTED = 3
"""Digests inside of digests."""

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


class Mail(Source):
    """An mbox (or one mail) of support or of anybody; a session is a thread, a message is known by its Message-ID.

    What somebody wrote is the text without quotes and signature. Automatic answers of others than the agent, bounces, drafts
    and spam are not kept.
    """

    name = "mbox"
    suffixes = (".mbox", ".mbx", ".eml", "")

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it starts with the line of a mail in an mbox, or with a mail's headers."""
        return is_mail(path, head)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches in the order of the file; the headers are read before, for the agent's addresses."""
        path = Path(target)
        senders: list[tuple[str | None, str]] = []
        agents: set[str] = set()
        for headers in headers_of(path):
            senders += _people(headers, "From")
            for header in ("From", "To", "Cc"):
                agents.update(
                    address for name, address in _people(headers, header) if _is_agent(name, address, options)
                )
        if not senders:
            raise SourceError(f"{path.name}: no mail in it: nothing starts with 'From ' and has a sender")
        names = {name or address for name, address in senders}
        named_agent(options, names, path.name)
        note = None if agents else nobody_is(options, names, path.name)
        yield from in_batches(self._found(path, options, agents), len(senders), [note])

    def _found(self, path: Path, options: SourceOptions, agents: set[str]) -> Iterator[dict[str, Any]]:
        for number, letter in enumerate(letters(path), start=1):
            try:
                mails = list(_inside(letter.parsed(), 0))
            except UNREADABLE:
                yield reject(self.name, path.name, number, "a mail that cannot be taken apart", "")
                continue
            for mail in mails:
                try:
                    yield _row(mail, letter, agents, options) | {"line": number}
                except UNREADABLE as error:
                    why = str(error) if isinstance(error, Nothing) else "a mail that cannot be taken apart"
                    yield reject(self.name, path.name, number, why, _header(mail, "Message-ID"))


def _inside(mail: Message, depth: int) -> Iterator[Message]:
    """Yield the mail, or the mails that a digest of a mailing list holds."""
    digests = (
        [part for part in mail.walk() if part.get_content_type() == "multipart/digest"] if mail.is_multipart() else []
    )
    wrapped = [part.get_payload() for digest in digests for part in digest.get_payload() if isinstance(part, Message)]
    inner = [each[0] for each in wrapped if isinstance(each, list) and each and isinstance(each[0], Message)]
    if not inner or depth >= NESTED:
        yield mail
        return
    for part in inner:
        yield from _inside(part, depth + 1)


def _row(mail: Message, letter: Letter, agents: set[str], options: SourceOptions) -> dict[str, Any]:
    """Return the row of a mail.

    Raises:
        Nothing: nobody says anything in it.
    """
    name, address = next(iter(_people(mail, "From")), (None, None))
    if address is None:
        raise Nothing("a mail without a sender")
    agent = address in agents
    if not agent:
        _refuse_automatic(mail, address)
    if UNSENT.search(_header(mail, "X-Gmail-Labels")):
        raise Nothing("a draft, spam or thrown away")
    subject = REPLY.sub("", _header(mail, "Subject")).strip()
    if DIGEST.search(subject) and not mail.is_multipart():
        raise Nothing("a digest of a mailing list, not one mail")
    text = plain_text(mail)
    if not text:
        raise Nothing("no text of its own (quotes, a signature or attachments only)")
    others = {each for header in ("To", "Cc") for _, each in _people(mail, header)}
    people = sorted({address, *others} - agents)
    ids = MESSAGE_ID.findall(_header(mail, "Message-ID"))
    group = len(people) > 1
    return {
        "session_id": f"mail/{_thread(mail, ids, subject)}",
        "agent_id": options.agent,
        "user_id": None if group else options.user or next(iter(people), None),
        "speaker_id": options.agent if agent else address,
        "speaker_name": name,
        "role": "agent" if agent else "user",
        "text": text,
        "occurred_at": _when(mail, letter, options),
        "metadata": kept(subject=subject[:200], list=_header(mail, "List-Id")[:120]),
        "source_ref": ids[0] if ids else None,
        "is_id": bool(ids),
        "group": group,
        # Mail programs keep their files in any order; every mail has its own time.
        "alone": True,
    }


def _is_agent(name: str | None, address: str, options: SourceOptions) -> bool:
    """Return whether a sender is the agent by name, by address, or by what stands before the @."""
    return any(is_agent(each, options) for each in (name, address, address.partition("@")[0]))


def _refuse_automatic(mail: Message, address: str) -> None:
    """Raise where nobody wrote a mail.

    Raises:
        Nothing: it is an automatic answer or a bounce.
    """
    if ROBOTS.fullmatch(address) or mail.get_content_type() == "multipart/report":
        raise Nothing("a notice of a mail server")
    automatic = _header(mail, "Auto-Submitted").lower()
    precedence = _header(mail, "Precedence").strip().lower()
    if (
        automatic.startswith("auto-")
        or precedence in ("auto_reply", "auto-reply", "junk")
        or mail.get("X-Autoreply")
        or mail.get("X-Autorespond")
    ):
        raise Nothing("an automatic answer")


def _thread(mail: Message, ids: list[str], subject: str) -> str:
    """Return the id of the thread: Gmail's, else that of the mail it began with, else its subject."""
    number = _header(mail, "X-GM-THRID").strip()
    if number.isdigit() and len(number) < 40:
        return f"gm-{number}"
    for header in ("References", "In-Reply-To"):
        before = MESSAGE_ID.findall(_header(mail, header))
        if before:
            return before[0]
    return ids[0] if ids else f"about {subject.casefold()[:120] or 'nothing'}"


def _people(mail: Message, header: str) -> list[tuple[str | None, str]]:
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


def _header(mail: Message, name: str) -> str:
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


def _when(mail: Message, letter: Letter, options: SourceOptions) -> datetime:
    """Return when a mail was sent, else when it was received, else what the mbox says.

    Raises:
        Nothing: nothing says it.
    """
    received = (value.rpartition(";")[2] for value in _raw(mail, "Received"))
    for text in (*(_header(mail, name) for name in ("Date", "Resent-Date", "Delivery-Date")), *received):
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
