"""One small, whole file of every format that an import knows, made here: what `benchmarks.fuzz` breaks.

What is broken how does not belong here (see `benchmarks.fuzz_mutations`).
"""

import csv
import io
import json
import sqlite3
import zipfile
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

SECRET = "quokkafern"
"""Stands in every text that somebody says here: no reason of a reject may hold it."""

NAME = "Thistlewick"
"""Stands in the name of the person."""

PERSON, AGENT = f"Nora {NAME}", "Lumi"
DAY = "2025-05-01"
UNIX = 1746093600
"""10:00 of that day."""

SAID = tuple(f"{text} {SECRET}" for text in ("¿Te acuerdas de Max? 🐕", "where is it", "I moved to Vigo", "gracias"))
ANSWERED = tuple(f"{text} {SECRET}" for text in ("Claro que sí 😊", "in the garden", "how is the sea?", "de nada"))


@dataclass(frozen=True)
class Seed:
    """A file, or a folder or an archive of files.

    Attributes:
        format: The source that recognises it.
        name: What the file or folder is called.
        kind: json, lines (JSON values), csv (rows of cells), text, mail (bytes), parquet (rows), sqlite (tables), folder, zip.
        data: What is in it; for folders and archives a `Seed` for each path.
        options: Options of the import without which nothing can be taken.
    """

    format: str
    name: str
    kind: str
    data: Any
    options: dict[str, Any] = field(default_factory=dict)


def iso(second: int) -> str:
    """Return a time of the day that all seeds happen on."""
    return f"{DAY}T10:00:{second:02}Z"


def turns() -> list[tuple[str, str]]:
    """Return who says what, in order: person and agent in turn."""
    return [turn for pair in zip(SAID, ANSWERED, strict=True) for turn in ((PERSON, pair[0]), (AGENT, pair[1]))]


def seeds() -> list[Seed]:
    """Return a seed of every format."""
    return [*_tables(), *_conversations(), *_messengers(), *_phones(), *_assistants(), *_memories(), *_research()]


# -- tables ---------------------------------------------------------------------------------------------------------


def _rows() -> list[dict[str, Any]]:
    return [
        {"session_id": "s1", "agent_id": AGENT, "user_id": PERSON, "speaker_id": who, "speaker_name": who,
         "role": "agent" if who == AGENT else "user", "text": text, "emotion": "joy", "importance": 0.5, "turn": number,
         "location": "Vigo", "participants": [PERSON, AGENT], "model_version": "m-1", "metadata": {"a": 1.5},
         "occurred_at": iso(number), "edited_at": iso(number + 1), "source_ref": f"ref-{number}", "opt_out_training": False,
         "rating": 1, "correct": True, "correction": f"better {SECRET}", "quality": 0.5}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip


def _exchanges() -> list[dict[str, Any]]:
    return [
        {"id": f"{number:032x}", "prompt": asked, "response": answered, "created_at": iso(number), "user": PERSON, "model": "m"}
        for number, (asked, answered) in enumerate(zip(SAID, ANSWERED, strict=True))
    ]  # fmt: skip


def _cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    cells = [[value if isinstance(value, str) else json.dumps(value) for value in row.values()] for row in rows]
    return [list(rows[0]), *cells]


def _tables() -> list[Seed]:
    plain = [{**row, "participants": "|".join(row["participants"]), "metadata": "{}"} for row in _rows()]
    return [
        Seed("jsonl", "messages.jsonl", "lines", _rows()),
        Seed("jsonl", "rows.json", "json", {"data": _rows()}),
        Seed("jsonl", "exchanges.jsonl", "lines", _exchanges()),
        Seed("csv", "messages.csv", "csv", _cells(plain)),
        Seed("csv", "exchanges.csv", "csv", _cells(_exchanges())),
        Seed("csv", "messages.tsv", "csv", _cells(plain)),
        Seed("parquet", "messages.parquet", "parquet", _rows()),
        Seed("parquet", "exchanges.parquet", "parquet", _exchanges()),
        Seed("sql", "chat.db", "sqlite", {"messages": plain}, {"table": "messages"}),
    ]


# -- conversations --------------------------------------------------------------------------------------------------


def _chatml() -> list[dict[str, Any]]:
    return [{"role": "assistant" if who == AGENT else "user", "content": text} for who, text in turns()]


def _conversations() -> list[Seed]:
    shares = [{"from": "gpt" if who == AGENT else "human", "value": text} for who, text in turns()]
    log = {
        "custom_id": "r1",
        "created_at": iso(0),
        "request": {"model": "m", "messages": [{"role": "system", "content": "be kind"}, *_chatml()[:3]]},
        "response": {"id": "c-1", "created": UNIX, "choices": [{"index": 0, "message": _chatml()[3]}]},
    }
    answers = {"model": "m", "input": _chatml()[:1], "output": [{"type": "message", "role": "assistant",
               "content": [{"type": "output_text", "text": ANSWERED[0]}]}], "id": "resp_1", "created_at": UNIX,
               "previous_response_id": "resp_0"}  # fmt: skip
    talk = {
        "id": "t1",
        "created_at": iso(0),
        "user_id": PERSON,
        "messages": [{"role": "system", "content": "x"}, *_chatml()],
    }
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": SAID[0]}, {"type": "image_url"}]},
                          {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
                          {"role": "assistant", "content": ANSWERED[0]}], "created_at": iso(0)}  # fmt: skip
    return [
        Seed("chatml", "talks.jsonl", "lines", [talk, {**talk, "id": "t2"}, parts]),
        Seed("chatml", "talks.json", "json", [talk, {"conversations": [talk]}]),
        Seed("chatml", "requests.jsonl", "lines", [log, answers, {**log, "custom_id": "r2"}]),
        Seed("sharegpt", "share.json", "json", [{"id": "a1", "created_at": iso(0), "conversations": shares}]),
        Seed("sharegpt", "share.jsonl", "lines", [{"id": "a1", "timestamp": iso(0), "conversations": shares}]),
    ]


# -- messengers -----------------------------------------------------------------------------------------------------


def _whatsapp(android: bool) -> str:
    lines = ["Messages and calls are end-to-end encrypted. Tap to learn more."] if android else []
    notice = "\u200eMessages and calls are end-to-end encrypted."
    lines = [f"1/5/25, 09:59 - {line}" for line in lines] or [f"[13/5/25, 09:59:00] {PERSON}: {notice}"]
    for number, (who, text) in enumerate(turns()):
        start = f"{number + 13}/5/25, 10:0{number} - " if android else f"[{number + 13}/5/25, 10:00:0{number}] "
        lines.append(f"{start}{who}: {text}\nand a second line")
    lines.append(
        f"28/5/25, 10:10 - {PERSON}: <Media omitted>"
        if android
        else f"[28/5/25, 10:10:00] {PERSON}: \u200eimage omitted"
    )
    return "\n".join(lines) + "\n"


def _discord() -> dict[str, Any]:
    people = {
        PERSON: {"id": "501", "name": PERSON, "discriminator": "0000", "nickname": "Nora", "isBot": False},
        AGENT: {"id": "900", "name": AGENT, "discriminator": "1234", "nickname": AGENT, "isBot": True},
    }
    messages = [
        {"id": str(1300000000000000000 + number), "type": "Default", "timestamp": f"{DAY}T10:00:{number:02}.1234567+02:00",
         "timestampEdited": iso(30), "isPinned": False, "content": text, "author": people[who],
         "attachments": [{"id": "1", "url": "https://a.b/c.png", "fileName": "c.png", "description": "a fox"}],
         "embeds": [{"title": "t", "url": "https://a.b", "description": "d", "fields": [{"name": "n", "value": "v"}],
                     "footer": {"text": "f"}}],
         "stickers": [{"name": "s"}], "reactions": [{"emoji": {"name": "👍"}, "count": 2}],
         "mentions": [{"id": "900", "name": AGENT, "nickname": AGENT}], "reference": {"messageId": "7"},
         "poll": {"question": {"text": "q"}, "answers": [{"poll_media": {"text": "a"}}]},
         "forwardedMessage": {"timestamp": iso(0), "content": f"fwd {SECRET}", "embeds": []}}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    return {
        "guild": {"id": "1", "name": "G"},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "chat"},
        "messages": messages,
        "messageCount": len(messages),
    }


def _telegram() -> dict[str, Any]:
    messages: list[dict[str, Any]] = [
        {"id": number, "type": "message", "date": f"{DAY}T12:00:{number:02}", "date_unixtime": str(UNIX + number), "from": who,
         "from_id": "user9" if who == AGENT else "user7", "text": [text, {"type": "bold", "text": "!"}], "text_entities": [],
         "edited": f"{DAY}T12:09:00", "edited_unixtime": str(UNIX + 540), "reply_to_message_id": 1,
         "reactions": [{"type": "emoji", "count": 1, "emoji": "❤"}], "forwarded_from": "x"}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    messages.append(
        {"id": 50, "type": "service", "date": f"{DAY}T12:00:59", "actor": PERSON, "action": "phone_call", "text": ""}
    )
    messages.append({**messages[0], "id": 51, "text": "", "poll": {"question": "q", "answers": [{"text": "a"}]}})
    messages.append({**messages[0], "id": 52, "text": "", "photo": "p.jpg", "place_name": "Vigo", "address": "Calle 1"})
    return {"name": PERSON, "type": "personal_chat", "id": 7, "messages": messages}


def _meta(folder: str) -> dict[str, Any]:
    messages = [
        {"sender_name": who, "timestamp_ms": UNIX * 1000 + number * 1000, "content": text.encode().decode("latin-1"),
         "reactions": [{"reaction": "x", "actor": "y"}], "photos": [{"uri": "a.jpg"}], "share": {"link": "https://a.b"},
         "is_geoblocked_for_viewer": False}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    return {"participants": [{"name": PERSON}, {"name": AGENT}], "messages": messages[::-1], "title": AGENT,
            "is_still_participant": True, "thread_path": f"{folder}/lumi_1234567890", "magic_words": []}  # fmt: skip


def _encrypted() -> dict[str, Any]:
    messages = [
        {"senderName": who, "text": text, "timestamp": UNIX * 1000 + number, "isUnsent": False, "type": "text",
         "media": [{"uri": "a"}], "reactions": [{"actor": "a", "reaction": "❤"}]}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    return {"participants": [PERSON, AGENT], "threadName": "Lumi_1", "messages": messages}


def _slack() -> dict[str, Seed]:
    day: list[dict[str, Any]] = [
        {"type": "message", "ts": f"{UNIX + number}.000100", "text": f"{text} <@U9> <https://a.b|c>", "thread_ts": f"{UNIX}.000100",
         "user": "U9" if who == AGENT else "U1", "reactions": [{"name": "a", "count": 1}], "edited": {"ts": f"{UNIX + 60}.0"},
         "files": [{"id": "F", "alt_txt": "fox"}], "user_profile": {"real_name": who}}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    rich = [
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": SAID[0]}]}],
        }
    ]
    day.append({"type": "message", "ts": f"{UNIX + 20}.000100", "text": "", "user": "U1", "blocks": rich})
    day.append({"type": "message", "subtype": "message_changed", "message": day[0], "ts": f"{UNIX + 30}.000100"})
    day.append({"type": "message", "subtype": "bot_message", "username": AGENT, "ts": f"{UNIX + 31}.000100", "text": "",
                "attachments": [{"text": SAID[1], "fields": [{"title": "a", "value": "b"}]}]})  # fmt: skip
    users = [{"id": "U1", "name": "nora", "profile": {"display_name": PERSON, "real_name": PERSON}},
             {"id": "U9", "name": "lumi_bot", "is_bot": True, "profile": {"real_name": AGENT, "bot_id": "B9"}}]  # fmt: skip
    lists = {"users.json": users, "channels.json": [{"id": "C1", "name": "general", "members": ["U1", "U9"]}],
             "dms.json": [{"id": "D1", "members": ["U1", "U9"]}]}  # fmt: skip
    days = {"general/2025-05-01.json": day, "D1/2025-05-01.json": day[:3]}
    return {name: Seed("slack", name, "json", data) for name, data in {**lists, **days}.items()}


def _messengers() -> list[Seed]:
    talk = Seed("whatsapp", "_chat.txt", "text", _whatsapp(android=False))
    account = {
        "about": "x",
        "personal_information": {"user_id": 7},
        "chats": {"list": [_telegram(), {**_telegram(), "type": "bot_chat"}]},
    }
    thread = {
        f"inbox/lumi_1234567890/message_{part}.json": Seed("meta", "m", "json", _meta("inbox")) for part in (1, 2)
    }
    day = _slack()["general/2025-05-01.json"].data
    return [
        Seed("whatsapp", f"WhatsApp Chat with {PERSON}.txt", "text", _whatsapp(android=True)),
        Seed("whatsapp", "_chat.txt", "text", _whatsapp(android=False)),
        Seed("whatsapp", f"WhatsApp Chat - {PERSON}.zip", "zip", {"_chat.txt": talk}),
        Seed("discord", "G - chat.json", "json", _discord()),
        Seed("telegram", "result.json", "json", _telegram()),
        Seed("telegram", "account.json", "json", account),
        Seed("meta", "message_1.json", "json", _meta("inbox")),
        Seed("meta", "Lumi_1.json", "json", _encrypted()),
        Seed("meta", "facebook", "folder", thread),
        Seed("meta", "instagram.zip", "zip", thread),
        Seed("slack", "slack.zip", "zip", _slack()),
        Seed("slack", "slack", "folder", _slack()),
        Seed("slack", "2025-05-01.json", "json", day),
    ]


# -- telephones and mail --------------------------------------------------------------------------------------------


def _imessage() -> str:
    said = [f"Apr 17, 2022  4:5{n}:21 PM (Read by you after 1 minute)\n{'Me' if who == PERSON else who}\n{text}\n"
            for n, (who, text) in enumerate(turns())]  # fmt: skip
    more = ["Tapbacks:\nLoved by Me\n", f"    Apr 17, 2022  5:10:00 PM\n    Me\n    a reply {SECRET}\n",
            "Apr 17, 2022  5:01:00 PM You named the conversation Rain\n", "Apr 17, 2022  5:02:00 PM\nMe\nattachments/2/IMG_2.jpeg\n",
            f"Apr 18, 2022 12:05:00 AM\n{AGENT}\nx\nEdited 1 minute, 5 seconds later: y {SECRET}\n"]  # fmt: skip
    return "\n".join([*said, *more])


def _imessage_page() -> str:
    def one(time: str, who: str, text: str) -> str:
        return (
            f'<div class="message"><div class="sent"><p><span class="timestamp">{time}</span><span class="sender">{who}</span></p>'
            f'<div class="message_part"><span class="bubble">{text}</span><div class="reactions"><div class="reaction"><b>Loved</b> by Me'
            '</div></div></div><div class="replies"><div class="message">x</div></div></div></div>\n'
        )

    inner = "".join(
        one(f"Oct 17, 2021 10:31:0{n} PM", who if who == AGENT else "Me", text) for n, (who, text) in enumerate(turns())
    )
    return (
        f'<html><meta charset="UTF-8">\n{inner}<div class="announcement"><span class="timestamp">x</span></div></html>'
    )


def _imazing() -> list[list[str]]:
    columns = ["Chat Session", "Message Date", "Delivered Date", "Read Date", "Edited Date", "Service", "Type", "Sender ID", "Sender Name", "Status", "Replying to", "Subject", "Text", "Attachment", "Attachment type"]  # fmt: skip
    rows = [[PERSON, f"{DAY} 10:00:0{n}", "", "", "", "iMessage", "Outgoing" if who == AGENT else "Incoming", "", who, "Read", "", "",
             text, "", ""] for n, (who, text) in enumerate(turns())]  # fmt: skip
    return [columns, *rows]


def _signal_frames() -> list[dict[str, Any]]:
    def item(author: str, number: int, text: str) -> dict[str, Any]:
        body = {
            "text": {"body": text},
            "quote": {"text": {"body": "q"}},
            "attachments": [{}],
            "reactions": [{"emoji": "❤"}],
        }
        return {"chatItem": {"chatId": "10", "authorId": author, "dateSent": str(UNIX * 1000 + number), "standardMessage": body,
                             "revisions": [{"dateSent": str(UNIX * 1000 + number), "standardMessage": body}]}}  # fmt: skip

    said = [item("2" if who == AGENT else "1", number, text) for number, (who, text) in enumerate(turns())]
    sticker = {"chatItem": {**item("1", 8, "")["chatItem"]}}
    sticker["chatItem"].pop("standardMessage")
    poll = {**sticker["chatItem"], "poll": {"question": SAID[0], "options": [{"option": "a"}]}}
    return [
        {"version": "1", "backupTimeMs": str(UNIX * 1000), "mediaRootBackupKey": "a"},
        {"account": {"givenName": "Nora", "familyName": NAME}},
        {"recipient": {"id": "1", "self": {}}},
        {"recipient": {"id": "2", "contact": {"aci": "abc", "e164": "34600", "profileGivenName": AGENT}}},
        {
            "recipient": {
                "id": "3",
                "group": {"masterKey": "k", "snapshot": {"title": {"title": "g"}, "members": [{"userId": "abc"}]}},
            }
        },
        {"chat": {"id": "10", "recipientId": "2"}},
        *said,
        {"chatItem": {**sticker["chatItem"], "stickerMessage": {"sticker": {"emoji": "x"}}}},
        {"chatItem": poll},
    ]


def _mails() -> bytes:
    found = []
    for number, (who, text) in enumerate(turns()[:4]):
        sender, to = (f'"{PERSON}" <nora.{NAME.lower()}@example.org>', f"{AGENT} <lumi@shop.example>")
        sender, to = (to, sender) if who == AGENT else (sender, to)
        head = f"From ana@example.org Thu May  1 10:00:0{number} 2025\nMessage-ID: <{number}@shop.example>\nFrom: {sender}\nTo: {to}\n"
        head += f"Subject: =?utf-8?Q?Env=C3=ADo?= {number}\nDate: Thu, 1 May 2025 12:00:0{number} +0200\nMIME-Version: 1.0\n"
        head += f"References: <0@shop.example>\nX-GM-THRID: 17\nIn-Reply-To: <{max(number - 1, 0)}@shop.example>\n"
        body = f"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n"
        body += f"On Thu, 1 May 2025 at 12:00, Ana (<ana@example.org>) wrote:\n> {SECRET}\n-- \nNora\n\n--b\n"
        body += f"Content-Type: text/html; charset=utf-8\n\n<p>{text}</p><blockquote>x</blockquote>\n--b--\n\n"
        found.append((head + body).encode())
    return b"".join(found)


def _phones() -> list[Seed]:
    lines = [
        f"[{DAY}, 10:00:0{n}] {'Me' if who == PERSON else who}: {text}\n(- {AGENT}: ❤ -)"
        for n, (who, text) in enumerate(turns())
    ]
    data = [{"date": f"{DAY}T10:00:0{n}", "sender": who, "body": text, "quote": "> q", "sticker": "", "reactions": [[AGENT, "❤"]],
             "attachments": []} for n, (who, text) in enumerate(turns())]  # fmt: skip
    whole = _mails()
    return [
        Seed("imessage", "+34600.txt", "text", _imessage()),
        Seed("imessage", "+34600.html", "text", _imessage_page()),
        Seed("imessage", "Messages.csv", "csv", _imazing()),
        Seed("signal", "chat.md", "text", "\n".join(lines) + "\n"),
        Seed("signal", "data.json", "lines", data),
        Seed("signal", "main.jsonl", "lines", _signal_frames()),
        Seed("mbox", "support.mbox", "mail", whole),
        Seed("mbox", "one.eml", "mail", whole.split(b"\nFrom ana", maxsplit=1)[0].partition(b"\n")[2]),
    ]


# -- assistants -----------------------------------------------------------------------------------------------------


def _chatgpt() -> list[dict[str, Any]]:
    nodes: dict[str, Any] = {"root": {"id": "root", "parent": None, "children": ["n0"], "message": None}}
    for number, (who, text) in enumerate(turns()):
        message = {"id": f"n{number}", "author": {"role": "assistant" if who == AGENT else "user", "name": None, "metadata": {}},
                   "create_time": UNIX + number + 0.5, "update_time": UNIX + number + 0.7, "recipient": "all",
                   "content": {"content_type": "text", "parts": [text, {"content_type": "image_asset_pointer"}]},
                   "metadata": {"model_slug": "gpt", "attachments": [{"name": "a.pdf"}]}}  # fmt: skip
        nodes[f"n{number}"] = {"id": f"n{number}", "parent": f"n{number - 1}" if number else "root", "message": message,
                               "children": [f"n{number + 1}"]}  # fmt: skip
    other = {**nodes["n1"], "id": "other", "message": {**nodes["n1"]["message"], "id": "other"}}
    nodes["other"] = other
    return [{"title": "Max", "create_time": UNIX, "update_time": UNIX + 9, "mapping": nodes, "current_node": "n7",
             "conversation_id": "c-1", "default_model_slug": "gpt"}]  # fmt: skip


def _claude() -> list[dict[str, Any]]:
    messages = [
        {"uuid": f"m{number}", "text": text, "content": [{"type": "text", "text": text, "citations": []}, {"type": "thinking"}],
         "sender": "assistant" if who == AGENT else "human", "created_at": iso(number), "updated_at": iso(number + 1),
         "attachments": [{"file_name": "a.txt", "extracted_content": SECRET}], "files": [{"file_name": "b"}],
         "parent_message_uuid": f"m{number - 1}" if number else None, "chat_feedback": {"type": "upvote"}}
        for number, (who, text) in enumerate(turns())
    ]  # fmt: skip
    return [{"uuid": "c-1", "name": "Max", "created_at": iso(0), "updated_at": iso(9), "account": {"uuid": "a"},
             "chat_messages": messages}]  # fmt: skip


def _character_ai() -> list[Seed]:
    old = [{"id": n, "src": {"is_human": who == PERSON, "name": who}, "text": text, "is_alternative": n == 5} for n, (who, text)
           in enumerate(turns())]  # fmt: skip
    dump = {
        "info": {"character": {"name": AGENT}},
        "histories": {"histories": [{"external_id": "h1", "created": iso(0), "msgs": old}]},
    }
    answers = [
        {"turn_key": {"chat_id": "chat-1", "turn_id": f"t{n}"}, "create_time": iso(n), "last_update_time": iso(n), "is_pinned": True,
         "author": {"author_id": "4711" if who == PERSON else "c", "name": who, **({"is_human": True} if who == PERSON else {})},
         "candidates": [{"candidate_id": f"c{m}", "create_time": iso(n), "raw_content": f"{text} {m}"} for m in range(2)],
         "primary_candidate_id": "c1"}
        for n, (who, text) in enumerate(turns())
    ]  # fmt: skip
    chat = [{"isUser": who == PERSON, "name": quote(who), "message": quote(text)} for who, text in turns()]
    page = json.dumps({"charPic": "x", "chat": chat, "character": AGENT, "created": iso(0)})
    return [
        Seed("character_ai", f"{AGENT}.json", "json", dump),
        Seed("character_ai", "turns.json", "json", {"turns": answers[::-1], "character_name": AGENT}),
        Seed("character_ai", "offline.html", "text", f"<html><script>\nvar x = JSON.parse(`{page}`)\n</script></html>"),
    ]


def _assistants() -> list[Seed]:
    header = {
        "user_name": PERSON,
        "character_name": AGENT,
        "create_date": "2025-5-1 @10h 00m 00s 100ms",
        "chat_metadata": {"integrity": "x"},
    }
    tavern = [{"name": who, "is_user": who == PERSON, "is_system": False, "send_date": f"May 1, 2025 6:0{n}am", "mes": text,
               "swipes": [text, "x"], "swipe_id": 0, "extra": {"api": "a", "model": "m"}, "swipe_info": [{"extra": {"model": "m"}}]}
              for n, (who, text) in enumerate(turns())]  # fmt: skip
    risu = {"id": "chat-1", "name": "x", "message": [{"role": "char" if who == AGENT else "user", "data": text, "name": who,
            "time": UNIX * 1000 + n, "chatId": f"i{n}", "generationInfo": {"model": "m"}} for n, (who, text) in enumerate(turns())]}  # fmt: skip
    ratings = [{"message_id": "n1", "rating": "thumbsUp"}]
    page = f"<html><script>\nvar jsonData = {json.dumps(_chatgpt())};\n</script></html>"
    return [
        Seed("chatgpt", "conversations.json", "json", _chatgpt()),
        Seed("chatgpt", "chat.html", "text", page),
        Seed("chatgpt", "chatgpt.zip", "zip", {"conversations.json": Seed("chatgpt", "c", "json", _chatgpt()),
                                               "message_feedback.json": Seed("chatgpt", "f", "json", ratings)}),
        Seed("claude", "conversations.json", "json", _claude()),
        Seed("claude", "claude.zip", "zip", {"conversations.json": Seed("claude", "c", "json", _claude()),
                                             "users.json": Seed("claude", "u", "json", [{"uuid": "a", "full_name": PERSON}])}),
        *_character_ai(),
        Seed("sillytavern", f"{AGENT}.jsonl", "lines", [header, *tavern]),
        Seed("risuai", "chat.json", "json", {"type": "risuChat", "ver": 2, "data": risu}),
        Seed("risuai", "chats.json", "json", {"type": "risuAllChats", "ver": 2, "data": [risu, {**risu, "id": "chat-2"}]}),
    ]  # fmt: skip


# -- memory systems and research ------------------------------------------------------------------------------------


def _mem0() -> list[Seed]:
    memory = {"id": "892db2ae", "memory": f"Likes tea {SECRET}", "hash": "5d4e", "metadata": {"source": "app"}, "created_at": iso(0),
              "updated_at": iso(3), "user_id": PERSON, "agent_id": AGENT, "run_id": "trip", "categories": ["food"], "score": 0.8}  # fmt: skip
    event = {"id": "h1", "memory_id": "m1", "old_memory": None, "new_memory": SAID[0], "event": "ADD", "created_at": iso(0),
             "updated_at": None, "is_deleted": 0, "actor_id": None, "role": None}  # fmt: skip
    said = [{"id": f"x{n}", "session_scope": f"agent_id={AGENT}&user_id=ana", "role": "assistant" if who == AGENT else "user",
             "content": text, "name": None, "created_at": iso(n)} for n, (who, text) in enumerate(turns())]  # fmt: skip
    return [
        Seed(
            "mem0",
            "memories.json",
            "json",
            {"results": [memory, {**memory, "id": "2"}], "relations": [{"source": "a"}]},
        ),
        Seed("mem0", "memories.jsonl", "lines", [memory, {**memory, "id": "2"}]),
        Seed("mem0", "history.json", "json", [{**event, "user_id": "ana", "agent_id": AGENT, "input": _chatml()[:2]}]),
        Seed(
            "mem0",
            "history.db",
            "sqlite",
            {"history": [event, {**event, "id": "h2", "event": "UPDATE"}], "messages": said},
        ),
    ]


def _zep() -> list[Seed]:
    messages = [{"uuid": f"u{n}", "created_at": iso(n), "role": who, "role_type": "assistant" if who == AGENT else "user",
                 "content": text, "token_count": 3, "metadata": {"n": n}} for n, (who, text) in enumerate(turns())]  # fmt: skip
    edge = {"uuid": "e1", "name": "LIKES", "fact": SAID[0], "created_at": iso(0), "valid_at": iso(0), "invalid_at": iso(1),
            "source_node_uuid": "n1", "target_node_uuid": "n2", "episodes": ["u2"], "score": 0.5}  # fmt: skip
    episodes = [{"uuid": "1", "group_id": "ana", "created_at": iso(0), "source_description": "chat", "source": kind, "valid_at": iso(0),
                 "content": f"{PERSON}(user): {SAID[0]}"} for kind in ("message", "text", "json")]  # fmt: skip
    sessions = [{"session_id": "s1", "user_id": "ana", "messages": messages, "facts": [SAID[1]], "updated_at": iso(9),
                 "summary": {"content": "x"}}]  # fmt: skip
    nodes = [{"uuid": "n1", "name": "Ana", "labels": ["Entity"]}]
    return [
        Seed("zep", "zep.json", "json", {"sessions": sessions}),
        Seed("zep", "graph.json", "json", {"user_id": "ana", "edges": [edge], "nodes": nodes, "episodes": episodes}),
    ]


def _hindsight() -> list[Seed]:
    unit = {"id": "f1", "text": SAID[0], "fact_type": "world", "context": "c", "occurred_start": iso(0), "occurred_end": iso(1),
            "mentioned_at": iso(2), "entities": "Ana, Max", "tags": ["user:ana"], "document_id": "d1", "metadata": {"a": 1},
            "confidence_score": 0.9}  # fmt: skip
    talk = json.dumps(
        [{"role": m["role"], "content": m["content"], "timestamp": iso(n)} for n, m in enumerate(_chatml())]
    )
    document = {"id": "d1", "original_text": talk, "tags": ["user:ana"], "created_at": iso(0), "facts": [unit]}
    lines = f"{PERSON} ({DAY} 10:00:00): {SAID[0]}\n{AGENT} ({DAY} 10:00:05): {ANSWERED[0]}"
    files = {"bank/manifest.json": {"source_bank_id": AGENT, "version": 1}, "bank/documents/a.json": document,
             "bank/documents/b.json": {**document, "id": "d2", "original_text": lines}, "bank/observations.json": [unit]}  # fmt: skip
    return [
        Seed("hindsight", "units.json", "json", {"bank_id": AGENT, "items": [unit, {**unit, "id": "f2"}]}),
        Seed(
            "hindsight",
            "bank.zip",
            "zip",
            {name: Seed("hindsight", name, "json", data) for name, data in files.items()},
        ),
    ]


def _letta() -> list[Seed]:
    call = {"name": "send_message", "arguments": json.dumps({"message": ANSWERED[0]})}
    packed = json.dumps(
        {"type": "user_message", "message": SAID[0], "time": "2025-05-01 10:00:00 AM UTC+0000", "name": "Ana"}
    )
    key = "message-00000000-0000-4000-8000-00000000000"
    messages = [{"id": f"{key}1", "role": "user", "content": [{"type": "text", "text": packed}], "created_at": iso(0)},
                {"id": f"{key}2", "role": "assistant", "text": "thinks", "tool_calls": [{"function": call}], "created_at": iso(1)},
                {"id": f"{key}3", "role": "tool", "content": "{}", "created_at": iso(2)}]  # fmt: skip
    agent = {"name": AGENT, "agent_type": "memgpt_agent", "llm_config": {}, "block_ids": ["b1"], "messages": messages,
             "in_context_message_ids": ["1"],
             "archival_passages": [{"id": "passage-1", "text": SAID[1], "created_at": iso(0), "tags": ["a"], "metadata": {"x": 1}}]}  # fmt: skip
    listed = [{"id": f"{key}{n}", "message_type": "assistant_message" if who == AGENT else "user_message", "content": text,
               "date": iso(n)} for n, (who, text) in enumerate(turns())]  # fmt: skip
    return [
        Seed("letta", "lumi.af", "json", {"agents": [agent], "blocks": [{"id": "b1", "label": "human", "value": "x"}]}),
        Seed(
            "letta",
            "messages.json",
            "json",
            [*listed, {"message_type": "reasoning_message", "reasoning": "x", "id": "9"}],
        ),
    ]


def _luminora() -> list[Seed]:
    said = [
        {"speaker": "assistant" if who == AGENT else "user", "content": text, "timestamp": iso(n)}
        for n, (who, text) in enumerate(turns())
    ]
    session = {"session_id": "s1", "user_id": PERSON, "personality_name": AGENT, "created_at": iso(0), "messages": said}
    snapshot = {"_snapshot_info": {"session_id": "s1", "user_id": PERSON, "created_at": iso(0)}, "persona": {"name": AGENT},
                "current_state": {"affinity": {"points": 45}, "mood": {"current": "shy", "intensity": 0.5},
                                  "learned_facts": [{"id": "f", "category": "likes", "key": "tea", "value": SAID[0], "created_at": iso(1)}],
                                  "conversation_history": said}}  # fmt: skip
    tables = {
        "sessions": [{"session_id": "s1", "user_id": PERSON, "personality_name": AGENT, "created_at": iso(0), "last_activity": None}],
        "messages": [{"id": f"m{n}", "session_id": "s1", **row} for n, row in enumerate(said)],
        "user_affinity": [{"user_id": PERSON, "personality_name": AGENT, "affinity_points": 45, "last_updated": iso(0)}],
        "session_moods": [{"session_id": "s1", "current_mood": "shy", "mood_intensity": 0.7, "mood_started_at": iso(0)}],
        "user_facts": [{"id": "f1", "user_id": PERSON, "category": "likes", "key": "tea", "value": f'"{SECRET}"', "confidence": 0.9,
                        "first_mentioned": iso(1)},
                       {"id": "f2", "user_id": "s1", "category": "conversation_history", "key": "turn_1", "confidence": 1.0,
                        "value": json.dumps({"user_message": SAID[0], "ai_response": ANSWERED[0], "timestamp": iso(2)}),
                        "first_mentioned": iso(2)}],
        "episodes": [{"id": "e1", "user_id": PERSON, "session_id": "s1", "type": "t", "title": "x", "summary": SAID[1], "importance": 9.5,
                      "tags": '["a"]', "timestamp": iso(1)}],
    }  # fmt: skip
    return [
        Seed("luminora", "session_s1.json", "json", session),
        Seed("luminora", "snapshot.json", "json", snapshot),
        Seed("luminora", "luminora.db", "sqlite", tables),
    ]


def _memories() -> list[Seed]:
    return [*_mem0(), *_zep(), *_hindsight(), *_letta(), *_luminora()]


def _research() -> list[Seed]:
    talk = {"speaker_a": PERSON, "speaker_b": AGENT, "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [{"speaker": who, "dia_id": f"D1:{n}", "text": text, "blip_caption": "a sunset"}
                          for n, (who, text) in enumerate(turns())]}  # fmt: skip
    history = {
        "2023-04-27": [{"query": asked, "response": answered} for asked, answered in zip(SAID, ANSWERED, strict=True)]
    }
    return [
        Seed("locomo", "locomo10.json", "json", [{"qa": [], "sample_id": "conv-1", "conversation": talk}]),
        Seed("memorybank", "memory_bank.json", "json", {PERSON: {"name": PERSON, "history": history}}),
    ]


# -- writing --------------------------------------------------------------------------------------------------------


def csv_text(rows: list[list[str]], delimiter: str = ",") -> str:
    """Return rows of cells as a table in text."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def database(path: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write tables into a SQLite file; values may be of any kind that SQLite holds."""
    connection = sqlite3.connect(path)
    with connection:
        for table, rows in tables.items():
            columns = [column.replace('"', "") for column in rows[0]] if rows else ["text"]
            names = ", ".join(f'"{column}"' for column in columns)
            connection.execute(f'CREATE TABLE "{table}" ({names})')
            marks = ", ".join("?" * len(columns))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', [tuple(row.values()) for row in rows])
    connection.close()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return an archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()
