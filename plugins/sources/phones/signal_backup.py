"""The export that Signal itself writes: main.jsonl, a frame a line (account, recipients, chats, then their messages)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from plugins.contracts import SourceBatch, SourceOptions
from plugins.sources.batches import counted, day_of, in_batches, kept
from plugins.sources.fields import dig, identity, listing, mapping, mappings, string, whole
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is, the_other
from plugins.sources.reading import lines_of, parsed
from plugins.sources.times import parse_time
from records.ids import content_id
from records.names import cleaned

NAMES = (
    ("nickname", "given", "family"),
    (None, "systemGivenName", "systemFamilyName"),
    (None, "profileGivenName", "profileFamilyName"),
)
NO_SPEECH = {
    "remoteDeletedMessage": "deleted by who wrote it",
    "stickerMessage": "a sticker, no text",
    "contactMessage": "a contact card, no text",
    "viewOnceMessage": "media to be seen once, no text",
    "paymentNotification": "a payment, no text",
    "giftBadge": "a gift, no text",
}


@dataclass
class Book:
    """Recipients and chats by the numbers that they have in this file only, with ids that they have in every export."""

    ids: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    chats: dict[str, str] = field(default_factory=dict)
    owner: str = ""

    def add(self, frame: dict[str, Any]) -> None:
        """Note what a frame says of the account, a recipient or a chat."""
        account, recipient, chat = (mapping(frame.get(key)) for key in ("account", "recipient", "chat"))
        if account:
            self.owner = _joined(account, "givenName", "familyName") or string(account.get("username")) or ""
        number = identity(recipient.get("id"))
        if number is not None:
            self._recipient(number, recipient)
        if (number := identity(chat.get("id"))) is not None:
            self.chats[number] = identity(chat.get("recipientId")) or ""

    def _recipient(self, number: str, recipient: dict[str, Any]) -> None:
        contact, group = mapping(recipient.get("contact")), mapping(recipient.get("group"))
        if "self" in recipient:
            self.ids[number], self.names[number] = self.owner or "Me", self.owner or "Me"
        elif group:
            # The key of a group opens it: only a digest of it is kept.
            self.ids[number] = f"group-{content_id('g', string(group.get('masterKey')) or number)[2:14]}"
            self.names[number] = string(dig(group, "snapshot", "title", "title")) or "group"
            members = mappings(dig(group, "snapshot", "members"))
            self.groups[number] = [member for each in members if (member := identity(each.get("userId")))]
        else:
            shown = next(
                (
                    name
                    for key, *parts in NAMES
                    if (name := _joined(mapping(contact.get(key)) if key else contact, *parts))
                ),
                None,
            )
            known = [identity(contact.get(key)) for key in ("aci", "e164", "pni", "username")]
            self.ids[number] = next((each for each in known if each), f"recipient {number}")
            self.names[number] = shown or next((each for each in (known[3], known[1]) if each), self.ids[number])

    def chat(self, recipient: str, number: str | None) -> str:
        """Return the id of a chat: a group's is the same for all who are in it, a private one belongs to two."""
        known = self.ids.get(recipient) or f"chat {number}"
        return known if recipient in self.groups else f"{self.owner or 'Me'}-{known}"


def is_backup(head: str) -> bool:
    """Return whether the frames of Signal's export stand in the first 64 kB."""
    return '"recipient"' in head and (
        '"chatItem"' in head or '"backupTimeMs"' in head or '"mediaRootBackupKey"' in head
    )


def read(path: Path, options: SourceOptions, source: str) -> Iterator[SourceBatch]:
    """Yield batches in the order of the file; it is read twice, as only its end shows who speaks in which chat."""
    book = Book()
    speakers: dict[str | None, dict[str, bool]] = {}
    total = 0
    for _, frame in _frames(path, options):
        book.add(mapping(frame))
        item = mapping(mapping(frame).get("chatItem"))
        if item:
            total += 1
            author = identity(item.get("authorId"))
            if author is not None and _body(item) is not None:
                speakers.setdefault(identity(item.get("chatId")), {})[author] = True
    names = {book.names.get(author, author) for spoke in speakers.values() for author in spoke}
    named_agent(options, names, path.name)
    note = nobody_is(options, names, path.name)
    yield from in_batches(_found(path, options, book, speakers, source), total, [note])


def _found(
    path: Path, options: SourceOptions, book: Book, speakers: dict[str | None, dict[str, bool]], source: str
) -> Iterator[dict[str, Any]]:
    agents = {
        number for number, name in book.names.items() if is_agent(name, options) or is_agent(book.ids[number], options)
    }
    for number, frame in _frames(path, options):
        if not isinstance(frame, dict):
            yield reject(
                source, path.name, number, "not valid JSON" if frame is None else "not a frame of an export", str(frame)
            )
        if not mapping(mapping(frame).get("chatItem")):
            continue
        item = frame["chatItem"]
        chat, author = identity(item.get("chatId")), identity(item.get("authorId"))
        people = sorted(set(speakers.get(chat, {})) - agents)
        try:
            row = _row(item, options)
        except ValueError as error:
            yield reject(source, path.name, number, str(error), item)
            continue
        other = book.chats.get(chat or "", "")
        speaker = book.ids.get(author or "", author or "somebody")
        agent = author in agents
        yield row | {
            "line": number,
            "session_id": f"signal/{book.chat(other, chat)}/{day_of(row['occurred_at'])}",
            "agent_id": options.agent,
            "user_id": the_other(options, [book.ids.get(each, each) for each in people]) if len(people) < 2 else None,
            "speaker_id": options.agent if agent else cleaned(speaker),
            "speaker_name": cleaned(book.names.get(author or "", speaker)),
            "role": "agent" if agent else "user",
            "source_ref": f"{speaker}/{row['source_ref']}",
            "group": len(people) > 1,
            "metadata": row["metadata"] | kept(chat=book.names.get(other) if other in book.groups else None),
        }


def _row(item: dict[str, Any], options: SourceOptions) -> dict[str, Any]:
    """Return what a message says and when.

    Raises:
        ValueError: nobody says anything in it.
    """
    body = _body(item)
    if body is None:
        raise ValueError(
            next((why for key, why in NO_SPEECH.items() if key in item), "a notice of the app, nobody said it")
        )
    message = mapping(item.get("standardMessage")) or mapping(item.get("directStoryReplyMessage"))
    if not body:
        raise ValueError("media, no text" if listing(message.get("attachments")) else "no text")
    # An edited message has the time of its last edit; it is known by the time it was sent.
    sent = [whole(each.get("dateSent")) for each in mappings(item.get("revisions"))] + [whole(item.get("dateSent"))]
    moment: datetime = parse_time(sent[0], options)
    return {
        "text": body,
        "occurred_at": moment,
        "edited_at": parse_time(sent[-1], options) if len(sent) > 1 else None,
        "source_ref": str(sent[0]),
        "is_id": True,
        "metadata": kept(
            reply_to=(string(dig(message, "quote", "text", "body")) or "")[:200],
            attachments=len(listing(message.get("attachments"))) or None,
            reactions=counted(string(each.get("emoji")) for each in mappings(message.get("reactions"))),
        ),
    }


def _body(item: dict[str, Any]) -> str | None:
    """Return the text of a message, a sticker's emoji or a poll; None where it is of a kind that has no text."""
    if "standardMessage" in item:
        return (string(dig(item, "standardMessage", "text", "body")) or "").replace("\ufffc", "").strip()
    if "directStoryReplyMessage" in item:
        return (string(dig(item, "directStoryReplyMessage", "textReply", "text", "body")) or "").strip()
    if "poll" in item:
        options = (string(each.get("option")) for each in mappings(dig(item, "poll", "options")))
        asked = string(dig(item, "poll", "question"))
        return "\n".join([*([asked] if asked else []), *(f"- {option}" for option in options if option)])
    return string(dig(item, "stickerMessage", "sticker", "emoji"))


def _frames(path: Path, options: SourceOptions) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines_of(path, options.encoding), start=1):
        if line.strip():
            try:
                yield number, parsed(line)
            except ValueError:
                yield number, None


def _joined(values: dict[str, Any], *keys: str) -> str | None:
    return " ".join(cleaned(part).strip() for key in keys if (part := string(values.get(key)))) or None
