"""The same talks as each application would export them: for measuring whether what is asked keeps its answer.

A writer puts talks into a folder and returns what to import, each with its options. Names of files change with ``name``, what is in
them does not: an export may be longer than one before, or called otherwise.
"""

import json
import mailbox
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

AGENT = "Lumi"
ONE_TIME = datetime(2025, 6, 3, 9, 0, tzinfo=UTC)

Target = tuple[str, dict[str, Any]]
Writer = Callable[[Path, list["Talk"], str], list[Target]]


@dataclass(frozen=True)
class Talk:
    """One person's conversation with the agent: questions with their answers and the time of each exchange.

    Attributes:
        number: Tells it apart from others.
        first: Place of the first exchange, where those before it are left out.
    """

    user: str
    number: int
    exchanges: list[tuple[str, str, datetime]]
    first: int = 0

    def messages(self) -> Iterator[tuple[int, bool, str, datetime]]:
        """Yield the messages: their place, whether the agent says it, the text and the time."""
        for place, (question, answer, moment) in enumerate(self.exchanges, start=self.first):
            yield 2 * place, False, question, moment
            yield 2 * place + 1, True, answer, moment

    def ref(self, place: int) -> str:
        """Return an id of a message that it has in every export."""
        return f"{self.number + 1:08x}-0000-4000-8000-{place:012x}"


def together(talks: list[Talk]) -> Iterator[tuple[Talk, int, tuple[str, str, datetime]]]:
    """Yield the exchanges of all talks in turns, as a bot's log has them."""
    for place in range(max(len(talk.exchanges) for talk in talks)):
        for talk in talks:
            if place < len(talk.exchanges):
                yield talk, place, talk.exchanges[place]


def _lines(path: Path, rows: list[Any]) -> list[Target]:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return [(str(path), {})]


def _json(path: Path, value: Any, **options: Any) -> list[Target]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return [(str(path), {"agent": AGENT, **options})]


# -- tables ---------------------------------------------------------------------------------------------------------


def jsonl_exchanges(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write exchanges, all of them of one time."""
    start = ONE_TIME.isoformat()
    rows = [
        {"session_id": f"s{t.number}", "agent_id": AGENT, "user_id": t.user, "input_text": q, "output_text": a, "occurred_at": start}
        for t, _, (q, a, _) in together(talks)
    ]  # fmt: skip
    return _lines(folder / f"{name}.jsonl", rows)


def _messages(talks: list[Talk], moment: datetime | None = None) -> list[dict[str, Any]]:
    return [
        {"session_id": f"s{t.number}", "agent_id": AGENT, "user_id": t.user, "role": role, "text": text,
         "occurred_at": (moment or when).isoformat()}
        for t, _, (q, a, when) in together(talks) for role, text in (("user", q), ("agent", a))
    ]  # fmt: skip


def jsonl_messages(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write messages without turns, all of them of one time."""
    return _lines(folder / f"{name}.jsonl", _messages(talks, ONE_TIME))


def csv_table(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a table as a spreadsheet does: semicolons, days before months, minutes."""
    rows = [
        {**row, "occurred_at": f"{datetime.fromisoformat(row['occurred_at']):%d/%m/%Y %H:%M}"}
        for row in _messages(talks)
    ]
    pl.DataFrame(rows).write_csv(folder / f"{name}.csv", separator=";")
    return [(str(folder / f"{name}.csv"), {"day_first": True})]


def parquet_table(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a Parquet file."""
    rows = [{**row, "occurred_at": datetime.fromisoformat(row["occurred_at"])} for row in _messages(talks)]
    pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")
    return [(str(folder / f"{name}.parquet"), {})]


def sqlite_table(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a table without a key, with Unix seconds."""
    path = folder / f"{name}.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE said (conversation_id TEXT, user_id TEXT, role TEXT, content TEXT, ts INTEGER)"
        )
        connection.executemany(
            "INSERT INTO said VALUES (?, ?, ?, ?, ?)",
            [
                (f"s{t.number}", t.user, role, text, int(when.timestamp()))
                for t, _, (q, a, when) in together(talks) for role, text in (("user", q), ("assistant", a))
            ],
        )  # fmt: skip
    connection.close()
    return [(f"sqlite:///{path}", {"agent": AGENT, "table": "said"})]


# -- conversations --------------------------------------------------------------------------------------------------


def _said(talk: Talk, timed: bool) -> list[dict[str, Any]]:
    return [
        {
            "role": "assistant" if agent else "user",
            "content": text,
            **({"timestamp": when.isoformat()} if timed else {}),
        }
        for _, agent, text, when in talk.messages()
    ]


def chatml(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a conversation a line, its messages timed."""
    rows = [{"messages": _said(talk, timed=True), "user_id": talk.user} for talk in talks]
    return [(target, {"agent": AGENT}) for target, _ in _lines(folder / f"{name}.jsonl", rows)]


def sharegpt(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write conversations without times."""
    value = [
        {
            "id": f"talk-{talk.number}", "user_id": talk.user,
            "conversations": [{"from": "gpt" if agent else "human", "value": text} for _, agent, text, _ in talk.messages()],
        }
        for talk in talks
    ]  # fmt: skip
    return _json(folder / f"{name}.json", value, at=talks[0].exchanges[0][2])


def openai_logs(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write requests, each with all that was said before, and their answers; those of several people in turns."""
    rows = []
    for talk, place, (_, answer, when) in together(talks):
        sent = [{k: v for k, v in message.items() if k != "timestamp"} for message in _said(talk, timed=False)]
        rows.append(
            {
                "request": {"model": "m", "user": talk.user, "messages": sent[: 2 * place + 1]},
                "response": {
                    "id": f"chatcmpl-{talk.ref(place)}", "created": int(when.timestamp()),
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
                },
            }
        )  # fmt: skip
    return [(target, {"agent": AGENT}) for target, _ in _lines(folder / f"{name}.jsonl", rows)]


# -- messengers and telephones --------------------------------------------------------------------------------------


def _chats(
    folder: Path,
    talks: list[Talk],
    name: str,
    line: Callable[[Talk, bool, str, datetime], str],
    file: str,
    **options: Any,
) -> list[Target]:
    """Write a text file a chat."""
    targets: list[Target] = []
    for talk in talks:
        path = folder / name / str(talk.number) / file.format(user=talk.user, name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(line(talk, agent, text, when) for _, agent, text, when in talk.messages())
        path.write_text(text, encoding="utf-8", newline="")
        targets.append((str(path), {"agent": AGENT, **options, **({"user": talk.user} if options.get("user") else {})}))
    return targets


def whatsapp_android(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write Android's export, which has minutes only."""
    return _chats(
        folder, talks, name, file="WhatsApp Chat with {user} ({name}).txt", day_first=True,
        line=lambda talk, agent, text, when: f"{when:%d/%m/%y, %H:%M} - {AGENT if agent else talk.user}: {text}\n",
    )  # fmt: skip


def whatsapp_ios(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write an iPhone's export, with seconds."""
    return _chats(
        folder, talks, name, file="_chat {name}.txt", day_first=True,
        line=lambda talk, agent, text, when: f"[{when:%d/%m/%Y, %H:%M:%S}] {AGENT if agent else talk.user}: {text}\r\n",
    )  # fmt: skip


def imessage(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write imessage-exporter's text, with seconds."""
    return _chats(
        folder, talks, name, file="{name}.txt", user=True,
        line=lambda talk, agent, text, when: f"{when:%b %d, %Y  %I:%M:%S %p}\n{AGENT if agent else 'Me'}\n{text}\n\n",
    )  # fmt: skip


def signal(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write signal-export's Markdown, with seconds."""
    return _chats(
        folder, talks, name, file="{name}.md", user=True,
        line=lambda talk, agent, text, when: f"[{when:%Y-%m-%d %H:%M:%S}] {AGENT if agent else 'Me'}: {text}  \n",
    )  # fmt: skip


def discord(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a channel each, with milliseconds."""
    targets: list[Target] = []
    for talk in talks:
        messages = [
            {
                "id": str(1_200_000_000_000_000_000 + 100_000 * talk.number + place), "type": "Default", "content": text,
                "timestamp": when.isoformat(), "author": {
                    "id": "999" if agent else str(100 + talk.number), "name": AGENT if agent else talk.user,
                    "discriminator": "1234" if agent else "0000", "isBot": agent,
                },
            }
            for place, agent, text, when in talk.messages()
        ]  # fmt: skip
        value = {"guild": {"id": "1", "name": "G"}, "channel": {"id": str(700 + talk.number), "name": "c"},
                 "dateRange": {"after": None, "before": None}, "messages": messages}  # fmt: skip
        targets += _json(folder / name / f"{talk.number}.json", value)
    return targets


def telegram(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a chat with a bot each, with seconds."""
    targets: list[Target] = []
    for talk in talks:
        messages = [
            {
                "id": place + 1, "type": "message", "date": f"{when:%Y-%m-%dT%H:%M:%S}", "date_unixtime": str(int(when.timestamp())),
                "from": AGENT if agent else talk.user, "from_id": "user999" if agent else f"user{100 + talk.number}", "text": text,
            }
            for place, agent, text, when in talk.messages()
        ]  # fmt: skip
        value = {"name": AGENT, "type": "bot_chat", "id": 999, "messages": messages}
        targets += _json(folder / name / f"result{talk.number}.json", value)
    return targets


def facebook(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write threads in two parts, the newest message first, with umlauts as Facebook writes them."""
    for talk in talks:
        messages = [
            {
                "sender_name": _mangled(AGENT if agent else talk.user), "timestamp_ms": int(when.timestamp()) * 1000,
                "content": _mangled(text),
            }
            for _, agent, text, when in talk.messages()
        ][::-1]  # fmt: skip
        about = {"participants": [{"name": _mangled(talk.user)}, {"name": AGENT}], "title": AGENT,
                 "thread_path": f"inbox/lumi_{7_000_000 + talk.number}"}  # fmt: skip
        cut = len(messages) // 3
        for part, some in ((1, messages[:cut]), (2, messages[cut:])):
            _json(
                folder / name / "inbox" / f"lumi_{7_000_000 + talk.number}" / f"message_{part}.json",
                {**about, "messages": some},
            )
    return [(str(folder / name), {"agent": AGENT})]


def instagram(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a thread a file, the newest message first, with milliseconds."""
    targets: list[Target] = []
    for talk in talks:
        messages = [
            {
                "sender_name": AGENT if agent else talk.user,
                "timestamp_ms": int(when.timestamp() * 1000) + place,
                "content": text,
            }
            for place, agent, text, when in talk.messages()
        ][::-1]
        value = {"participants": [{"name": talk.user}, {"name": AGENT}], "title": talk.user, "messages": messages,
                 "thread_path": f"inbox/{talk.user}_{8_000_000 + talk.number}", "magic_words": []}  # fmt: skip
        targets += _json(folder / name / f"{talk.number}.json", value)
    return targets


def _mangled(text: str) -> str:
    return text.encode().decode("latin-1")


def slack(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a workspace with a direct conversation each; the answers of a day stand behind its questions."""
    root = folder / name
    users = [("U999", AGENT), *((f"U{100 + talk.number}", talk.user) for talk in talks)]
    _json(root / "users.json", [{"id": key, "name": shown, "profile": {"display_name": shown}} for key, shown in users])
    _json(root / "dms.json", [{"id": f"D{t.number}", "members": ["U999", f"U{100 + t.number}"]} for t in talks])
    for talk in talks:
        days: dict[str, list[dict[str, Any]]] = {}
        for place, agent, text, when in talk.messages():
            user = "U999" if agent else f"U{100 + talk.number}"
            row = {
                "type": "message",
                "user": user,
                "text": escape(text, quote=False),
                "ts": f"{int(when.timestamp())}.{place:06}",
            }
            days.setdefault(f"{when:%Y-%m-%d}", []).append(row)
        for day, rows in days.items():
            _json(root / f"D{talk.number}" / f"{day}.json", sorted(rows, key=lambda row: row["user"]))
    return [(str(root), {"agent": AGENT})]


def mbox(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a mailbox with a thread each; a mail names the one before it, and quotes it."""
    path = folder / f"{name}.mbox"
    path.unlink(missing_ok=True)
    box = mailbox.mbox(path)
    for talk in talks:
        sides = (f"{talk.user} <person{talk.number}@example.org>", f"{AGENT} <lumi@example.com>")
        before = ""
        for place, agent, text, when in talk.messages():
            mail = EmailMessage()
            mail["From"], mail["To"] = sides[agent], sides[not agent]
            mail["Subject"] = "Hello" if not place else "Re: Hello"
            mail["Date"] = f"{when:%a, %d %b %Y %H:%M:%S} +0000"
            mail["Message-ID"] = f"<{talk.ref(place)}@example.org>"
            if place > 0:
                mail["In-Reply-To"] = f"<{talk.ref(place - 1)}@example.org>"
            mail.set_content(f"{text}\n\nOn Monday, {sides[not agent]} wrote:\n> {before}\n" if place else f"{text}\n")
            box.add(mail)
            before = text
    box.close()
    return [(str(path), {"agent": AGENT})]


# -- assistants -----------------------------------------------------------------------------------------------------


def chatgpt(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write trees of messages; the times of answers lie before those of their questions, as the service's sometimes do."""
    value = []
    for talk in talks:
        nodes: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
        before = "root"
        for place, agent, text, when in talk.messages():
            key = talk.ref(place)
            message = {"id": key, "author": {"role": "assistant" if agent else "user"}, "recipient": "all",
                       "create_time": when.timestamp() - (0.25 if agent else 0), "content": {"content_type": "text", "parts": [text]}}  # fmt: skip
            nodes[before]["children"].append(key)
            nodes[key] = {"id": key, "message": message, "parent": before, "children": []}
            before = key
        value.append({"id": f"talk-{talk.number}", "title": "t", "mapping": nodes, "current_node": before})
    targets: list[Target] = []
    for talk, one in zip(talks, value, strict=True):
        targets += _json(folder / name / f"conversations-{talk.number}.json", [one], user=talk.user)
    return targets


def claude(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a conversation a file, as different people's exports."""
    targets: list[Target] = []
    for talk in talks:
        messages = [
            {"uuid": talk.ref(place), "text": text, "content": [{"type": "text", "text": text}], "created_at": when.isoformat(),
             "sender": "assistant" if agent else "human"}
            for place, agent, text, when in talk.messages()
        ]  # fmt: skip
        value = [
            {
                "uuid": talk.ref(99_999),
                "name": "t",
                "created_at": talk.exchanges[0][2].isoformat(),
                "chat_messages": messages,
            }
        ]
        targets += _json(folder / name / f"{talk.number}.json", value, user=talk.user)
    return targets


def character_ai(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write histories without times."""
    targets: list[Target] = []
    for talk in talks:
        messages = [
            {"text": text, "src": {"name": AGENT if agent else talk.user, "is_human": not agent}}
            for _, agent, text, _ in talk.messages()
        ]
        value = {"info": {"character": {"name": AGENT}},
                 "histories": {"histories": [{"external_id": f"history-{talk.number}", "msgs": messages}]}}  # fmt: skip
        targets += _json(folder / name / f"{talk.number}.json", value, at=talk.exchanges[0][2])
    return targets


def sillytavern(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write chats with minutes, as they were until 2024."""
    targets: list[Target] = []
    for talk in talks:
        head = {
            "user_name": talk.user,
            "character_name": AGENT,
            "create_date": f"2025-01-0{1 + talk.number % 9}@10h00m00s",
        }
        rows = [
            {"name": AGENT if agent else talk.user, "is_user": not agent, "mes": text,
             "send_date": f"{when:%B} {when.day}, {when.year} {int(f'{when:%I}')}:{when:%M}{when:%p}".replace("AM", "am").replace("PM", "pm")}
            for _, agent, text, when in talk.messages()
        ]  # fmt: skip
        path = folder / f"{name}-{talk.number}.jsonl"
        targets += _lines(path, [head, *rows])
    return targets


# -- memory systems -------------------------------------------------------------------------------------------------


def luminora(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write a database of LuminoraCore, the messages of several sessions in turns."""
    path = folder / f"{name}.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT, personality_name TEXT)")
        connection.execute("CREATE TABLE messages (session_id TEXT, speaker TEXT, content TEXT, timestamp TIMESTAMP)")
        connection.executemany(
            "INSERT INTO sessions VALUES (?, ?, ?)", [(f"s{t.number}", t.user, AGENT) for t in talks]
        )
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?)",
            [
                (f"s{t.number}", speaker, text, f"{when:%Y-%m-%d %H:%M:%S}")
                for t, _, (q, a, when) in together(talks) for speaker, text in (("user", q), (AGENT, a))
            ],
        )  # fmt: skip
    connection.close()
    return [(str(path), {})]


def letta(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write lists of messages, with seconds."""
    targets: list[Target] = []
    for talk in talks:
        value = [
            {"id": f"message-{talk.ref(place)}", "date": when.isoformat(), "content": text,
             "message_type": "assistant_message" if agent else "user_message"}
            for place, agent, text, when in talk.messages()
        ]  # fmt: skip
        targets += _json(folder / name / f"{talk.number}.json", value, user=talk.user)
    return targets


def zep(folder: Path, talks: list[Talk], name: str) -> list[Target]:
    """Write threads with their messages, with seconds."""
    value = [
        {
            "thread_id": f"thread-{talk.number}", "user_id": talk.user,
            "messages": [
                {"uuid": talk.ref(place), "created_at": when.isoformat(), "name": AGENT if agent else talk.user, "content": text,
                 "role": "assistant" if agent else "user"}
                for place, agent, text, when in talk.messages()
            ],
        }
        for talk in talks
    ]  # fmt: skip
    return _json(folder / f"{name}.json", {"threads": value})


WRITERS: dict[str, Writer] = {
    writer.__name__: writer
    for writer in (
        whatsapp_android,
        whatsapp_ios,
        jsonl_exchanges,
        jsonl_messages,
        csv_table,
        parquet_table,
        sqlite_table,
        chatml,
        sharegpt,
        openai_logs,
        discord,
        telegram,
        facebook,
        instagram,
        slack,
        imessage,
        signal,
        chatgpt,
        claude,
        character_ai,
        sillytavern,
        mbox,
        luminora,
        letta,
        zep,
    )
}

IN_PIECES = {
    "whatsapp_android", "whatsapp_ios", "csv_table", "parquet_table", "sqlite_table", "discord", "telegram", "facebook", "instagram",
    "slack", "luminora", "letta", "zep",
}  # fmt: skip
"""Formats of which a piece can be exported that begins in the middle of a conversation.

Others are known by how they begin; and of equal rows of one time nothing tells which of them a piece has.
"""
