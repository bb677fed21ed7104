"""SillyTavern's chats, and those of TavernAI before it: one JSON object a line, the first says whose chat it is.

A chat is known by its first message: by when it was sent, and between whom. That stays when the file is renamed, exported again or
saved by a newer version, and a branch or a checkpoint, which repeats the chat up to where it left, is the same chat.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.assistants.sillytavern_dates import sent_at
from plugins.sources.assistants.sillytavern_message import (
    NOBODY,
    item_of,
    kind_of,
    model_of,
    name_of,
    real_name,
    words_of,
)
from plugins.sources.batches import in_batches, kept
from plugins.sources.fields import dig, first, flag, mapping, string
from plugins.sources.normalise import reject
from plugins.sources.people import is_agent, named_agent, nobody_is
from plugins.sources.reading import lines_of
from plugins.sources.times import Clock
from records.errors import SourceError
from records.ids import content_id
from records.names import fold

LONGEST = 80
"""Characters of a name that the id of a chat holds."""

HEADER = ("chat_metadata", "user_name", "character_name")


@dataclass
class Survey:
    """What is known of a chat only after reading all of it."""

    lines: int = 0
    known: int = 0
    header: dict[str, Any] = field(default_factory=dict)
    characters: Counter[str] = field(default_factory=Counter)
    user: str | None = None
    opening: dict[str, Any] | None = None


class SillyTavern(Source):
    """A chat with one character, or with several; the character is the agent, and of several answers (swipes) the shown one counts."""

    name = "sillytavern"
    suffixes = (".jsonl",)

    def sniff(self, path: Path, head: str) -> bool:
        """Return whether its lines are messages or the header of a chat."""
        if path.suffix.lower() not in self.suffixes:
            return False
        top = head.lstrip().partition("\n")[0]
        old = all(f'"{key}"' in top for key in ("user_name", "character_name", "create_date"))
        return ('"mes"' in head and '"is_user"' in head) or '"chat_metadata"' in top or old

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield the messages in the order of the file, one chat a file."""
        path = Path(target)
        survey = _survey(path, options)
        if not survey.known:
            raise SourceError(f"{path.name}: not a chat of SillyTavern: no line has a message ('mes')")
        agent, own = _agent(survey, path.name, options)
        note = None if own else nobody_is(options, survey.characters, path.name)
        yield from in_batches(self._found(path, survey, agent, own, options), survey.lines, [note])

    def _found(
        self, path: Path, survey: Survey, agent: str, own: set[str], options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        session, clock = _session(survey, options), Clock(options)
        person = options.user or survey.user or "user"
        characters = {fold(name) for name in survey.characters}
        several = [*survey.characters, person] if len(characters) > 1 else None
        time = _time_or_none(survey.header.get("create_date"), options) or options.at
        for line, text in enumerate(lines_of(path, options.encoding), start=1):
            item = item_of(text)
            if item is None:
                if text.strip():
                    cut = (
                        "the last line ends in the middle (truncated?)" if line == survey.lines else "not a JSON object"
                    )
                    yield reject(self.name, path.name, line, cut, text)
                continue
            if "mes" not in item:
                if not any(key in item for key in HEADER):
                    yield reject(self.name, path.name, line, "no message: it has no 'mes'", item)
                continue
            kind, name, words = kind_of(item), name_of(item), words_of(item)
            try:
                time = sent_at(item.get("send_date"), clock, options) or time
            except ValueError as error:
                yield reject(self.name, path.name, line, str(error), item)
                continue
            if kind in ("notice", "comment"):
                why = "a notice of the app" if kind == "notice" else "a comment beside the chat"
                yield reject(self.name, path.name, line, f"{why}, nobody said it", item)
                continue
            if words is None:
                picture = first(mapping(item.get("extra")), "image", "media", "video", "file") is not None
                yield reject(
                    self.name, path.name, line, "a picture or a file without words" if picture else "no text", item
                )
                continue
            row = {
                "line": line,
                "session_id": session,
                "agent_id": agent,
                "user_id": person,
                "text": words,
                "occurred_at": time,
                "participants": several,
                "metadata": kept(hidden=True if kind == "hidden" else None),
            }
            folded = fold(name or "")
            if flag(item.get("is_user")):
                shown = None if name is None or folded in NOBODY else name
                yield {**row, "role": "user", "speaker_id": person, "speaker_name": shown}
            elif kind == "narrator" or (kind == "hidden" and folded not in characters):
                yield {**row, "role": "system", "speaker_id": name or "System", "speaker_name": name}
            else:
                speaker = agent if name is None or folded in own else name
                yield {
                    **row,
                    "role": "agent",
                    "speaker_id": speaker,
                    "speaker_name": name,
                    "model_version": model_of(item),
                }


def _survey(path: Path, options: SourceOptions) -> Survey:
    survey = Survey()
    for survey.lines, text in enumerate(lines_of(path, options.encoding), start=1):
        item = item_of(text)
        if item is None:
            continue
        if "mes" not in item:
            header = any(key in item for key in HEADER)
            survey.known += header
            survey.header = survey.header or (item if header else {})
            continue
        survey.known += 1
        kind, name = kind_of(item), name_of(item)
        if kind in ("notice", "comment"):
            continue
        survey.opening = survey.opening or item
        if flag(item.get("is_user")):
            survey.user = survey.user or real_name(name)
        elif kind == "said" and name is not None:
            survey.characters[name] += 1
    survey.user = survey.user or real_name(survey.header.get("user_name"))
    alone = real_name(survey.header.get("character_name"))
    if alone is not None and not survey.characters:
        survey.characters[alone] = 0
    return survey


def _agent(survey: Survey, file: str, options: SourceOptions) -> tuple[str, set[str]]:
    """Return the agent, and the folded names under which it speaks.

    The only character is the agent, whatever it is called; of several the one that was named, else the one whose chat it is.

    Raises:
        SourceError: there are several, and nothing says which.
    """
    names = {fold(name) for name in survey.characters}
    named = {fold(name) for name in survey.characters if is_agent(name, options)}
    whose = real_name(survey.header.get("character_name"))
    if len(names) <= 1 or (not named and whose is not None and fold(whose) in names):
        character = whose if whose is not None and fold(whose) in names else next(iter(survey.characters), whose)
        own = names if len(names) <= 1 else {fold(character or "")}
        return options.agent or character or named_agent(options, (), file), own or {""}
    return named_agent(options, survey.characters, file), named


def _session(survey: Survey, options: SourceOptions) -> str:
    """Return the id of the chat: who speaks in it and when it began."""
    opening = survey.opening or {}
    began = _time_or_none(opening.get("send_date"), options) or _time_or_none(survey.header.get("create_date"), options)
    mark = began.isoformat() if began is not None else string(dig(survey.header, "chat_metadata", "integrity"))
    who = fold(next(iter(survey.characters), "-")), fold(survey.user or "-")
    return f"sillytavern/{who[0][:LONGEST]}/{who[1][:LONGEST]}/{mark or content_id('c', words_of(opening))}"


def _time_or_none(value: Any, options: SourceOptions) -> Any:
    try:
        return sent_at(value, Clock(options), options)
    except ValueError:
        return None
