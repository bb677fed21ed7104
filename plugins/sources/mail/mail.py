"""Mail: mbox files, a conversation a thread. How the file is cut and a body is read stands in mail_files.py, mail_headers.py and mail_text.py."""

import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches, kept
from plugins.sources.mail.mail_files import Letter, headers_of, is_mail, letters
from plugins.sources.mail.mail_headers import UNREADABLE, Nothing, header_of, people_of, when_sent
from plugins.sources.mail.mail_text import plain_text
from plugins.sources.mail.mail_threads import MESSAGE_ID, Threads, answered
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from records.errors import SourceError

REPLY = re.compile(r"^(?:\s*(?:re|rv|aw|sv|antw|fwd?|wg|tr|r|enc|res)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
DIGEST = re.compile(r"\bdigest\b.{0,40}\bvol(?:ume)?\b.{0,20}\bissue\b", re.IGNORECASE)
ROBOTS = re.compile(r"(?:mailer-daemon|postmaster|mail-daemon|no-?reply-dmarc\S*)@.*", re.IGNORECASE)
UNSENT = re.compile(r"\b(?:spam|trash|drafts?|papelera|borrador(?:es)?)\b", re.IGNORECASE)
NESTED = 3
"""Digests inside of digests."""


class Mail(Source):
    """An mbox (or one mail) of support or of anybody; a session is a thread, a message is known by its Message-ID.

    What somebody wrote is the text without quotes and signature. Automatic answers of others than the agent, bounces, drafts
    and spam are not kept.
    """

    name = "mbox"
    suffixes = (".mbox", ".mbx", ".eml", "")
    # Mail programs keep their files in any order; every mail has its own time, and says what it answers.
    in_order = False

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether it starts with the line of a mail in an mbox, or with a mail's headers."""
        return is_mail(path, head)

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield batches in the order of the file; the headers are read before, for the agent's addresses."""
        path = Path(target)
        senders: list[tuple[str | None, str]] = []
        agents: set[str] = set()
        threads = Threads()
        for headers in headers_of(path):
            threads.add(headers)
            senders += people_of(headers, "From")
            for header in ("From", "To", "Cc"):
                agents.update(
                    address for name, address in people_of(headers, header) if _is_agent(name, address, options)
                )
        if not senders:
            raise SourceError(f"{path.name}: no mail in it: nothing starts with 'From ' and has a sender")
        names = {name or address for name, address in senders}
        named_agent(options, names, path.name)
        note = None if agents else nobody_is(options, names, path.name)
        yield from in_batches(self._found(path, options, agents, threads), len(senders), [note])

    def _found(
        self, path: Path, options: SourceOptions, agents: set[str], threads: Threads
    ) -> Iterator[dict[str, Any]]:
        for number, letter in enumerate(letters(path), start=1):
            try:
                mails = list(_inside(letter.parsed(), 0))
            except UNREADABLE:
                yield reject(self.name, path.name, number, "a mail that cannot be taken apart", "")
                continue
            for mail in mails:
                try:
                    yield _row(mail, letter, agents, threads, options) | {"line": number}
                except UNREADABLE as error:
                    why = str(error) if isinstance(error, Nothing) else "a mail that cannot be taken apart"
                    yield reject(self.name, path.name, number, why, header_of(mail, "Message-ID"))


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


def _row(mail: Message, letter: Letter, agents: set[str], threads: Threads, options: SourceOptions) -> dict[str, Any]:
    """Return the row of a mail.

    Raises:
        Nothing: nobody says anything in it.
    """
    name, address = next(iter(people_of(mail, "From")), (None, None))
    if address is None:
        raise Nothing("a mail without a sender")
    agent = address in agents
    if not agent:
        _refuse_automatic(mail, address)
    if UNSENT.search(header_of(mail, "X-Gmail-Labels")):
        raise Nothing("a draft, spam or thrown away")
    subject = REPLY.sub("", header_of(mail, "Subject")).strip()
    if DIGEST.search(subject) and not mail.is_multipart():
        raise Nothing("a digest of a mailing list, not one mail")
    text = plain_text(mail)
    if not text:
        raise Nothing("no text of its own (quotes, a signature or attachments only)")
    others = {each for header in ("To", "Cc") for _, each in people_of(mail, header)}
    people = sorted({address, *others} - agents)
    ids = MESSAGE_ID.findall(header_of(mail, "Message-ID"))
    group = len(people) > 1
    return {
        "session_id": f"mail/{_thread(mail, ids, subject, threads)}",
        "agent_id": options.agent,
        "user_id": None if group else options.user or next(iter(people), None),
        "speaker_id": options.agent if agent else address,
        "speaker_name": name,
        "role": "agent" if agent else "user",
        "text": text,
        "occurred_at": when_sent(mail, letter, options),
        "turn": threads.depth(mail),
        "metadata": kept(subject=subject[:200], list=header_of(mail, "List-Id")[:120]),
        "source_ref": ids[0] if ids else None,
        "is_id": bool(ids),
        "group": group,
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
    automatic = header_of(mail, "Auto-Submitted").lower()
    precedence = header_of(mail, "Precedence").strip().lower()
    if (
        automatic.startswith("auto-")
        or precedence in ("auto_reply", "auto-reply", "junk")
        or mail.get("X-Autoreply")
        or mail.get("X-Autorespond")
    ):
        raise Nothing("an automatic answer")


def _thread(mail: Message, ids: list[str], subject: str, threads: Threads) -> str:
    """Return the id of the thread: Gmail's, else that of the mail it began with, else its subject."""
    number = header_of(mail, "X-GM-THRID").strip()
    if number.isdigit() and len(number) < 40:
        return f"gm-{number}"
    before = answered(mail)
    if before:
        return threads.first(before[0])
    return ids[0] if ids else f"about {subject.casefold()[:120] or 'nothing'}"
