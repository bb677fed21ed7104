"""Threads of mails, by what each mail answers: with which mail a thread began, and how far down one stands in it.

Some programs name all mails before one, others the one before only. Two mails of one minute have no other order.
"""

import re
from email.message import Message
from hashlib import blake2b

from plugins.sources.mail.mail_headers import header_of

MESSAGE_ID = re.compile(r"<([^<>\s]{1,250})>")


class Threads:
    """What each mail of a file answers, by the digest of its id: files have millions of mails."""

    def __init__(self) -> None:
        self._before: dict[bytes, str] = {}
        self._places: dict[bytes, tuple[str, int]] = {}

    def add(self, mail: Message) -> None:
        """Take note of a mail by its headers."""
        own, before = MESSAGE_ID.findall(header_of(mail, "Message-ID")), answered(mail)
        if own and before:
            self._before.setdefault(_digest(own[0]), before[-1])

    def depth(self, mail: Message) -> int | None:
        """Return how many mails come before a mail in its thread, None where it has no id: then it is known by its time."""
        own, before = MESSAGE_ID.findall(header_of(mail, "Message-ID")), answered(mail)
        if not own:
            return None
        return max(self._place(own[0])[1], len(before))

    def first(self, name: str) -> str:
        """Return the id of the first mail of the thread that a mail belongs to, as far as the file has it."""
        return self._place(name)[0]

    def _place(self, name: str) -> tuple[str, int]:
        """Return the first mail of a thread and how many come before this one; a circle ends before it closes."""
        walked: list[bytes] = []
        seen: set[bytes] = set()
        digest = _digest(name)
        while digest not in self._places and (before := self._before.get(digest)) is not None and digest not in seen:
            walked.append(digest)
            seen.add(digest)
            name, digest = before, _digest(before)
        first, depth = self._places.get(digest, (name, 0))
        for below in reversed(walked):
            depth += 1
            self._places[below] = (first, depth)
        return first, depth


def answered(mail: Message) -> list[str]:
    """Return the ids of the mails before this one as far as it names them, the one that it answers last."""
    named = MESSAGE_ID.findall(header_of(mail, "References"))
    return named or MESSAGE_ID.findall(header_of(mail, "In-Reply-To"))[:1]


def _digest(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
