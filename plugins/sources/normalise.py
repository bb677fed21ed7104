"""From rows as a source gives them to messages, sessions and speakers as the store takes them.

A row needs a text and a time; everything else has a default. A row that cannot be taken becomes a reject with its line and reason.
"""

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from plugins.contracts import SourceOptions
from plugins.sources.reading import one_sentence, parsed
from plugins.sources.times import parse_time
from records.ids import ContentIds, content_id
from records.interactions import ROLES
from records.names import cleaned, in_world, same_name, world_and_name
from records.store import Messages, Rejects, Sessions, SpeakerNames, Speakers
from records.weeks import week_of

COLUMNS = (
    "session_id",
    "agent_id",
    "world_id",
    "user_id",
    "speaker_id",
    "speaker_name",
    "role",
    "text",
    "emotion",
    "importance",
    "turn",
    "location",
    "participants",
    "model_version",
    "metadata",
    "occurred_at",
    "edited_at",
    "source_ref",
    "opt_out_training",
)
"""What a row may hold; exchanges (input_text, output_text) are split into two rows before. Beside these:

``line``: where it stands, from 1.
``group``: true where several people speak, so that the session is nobody's own.
``is_id``: true where ``source_ref`` names the message whatever its text says now: an edited message is the same one, and the
text with the latest ``edited_at`` is kept.
``alone``: true where its place among the rows before it says nothing.
``feedback``: what somebody said of it: rating (-1 to 1), correct, correction, quality_override.
"""

ROLE_NAMES = {
    "user": "user",
    "human": "user",
    "customer": "user",
    "person": "user",
    "prompter": "user",
    "agent": "agent",
    "assistant": "agent",
    "bot": "agent",
    "gpt": "agent",
    "character": "agent",
    "char": "agent",
    "ai": "agent",
    "model": "agent",
    "chatgpt": "agent",
    "system": "system",
    "developer": "system",
    "tool": "system",
    "function": "system",
    "function_call": "system",
    "tool_call": "system",
    "observation": "system",
}
CLOCK_SKEW = timedelta(minutes=5)
RAW_KEPT = 2_000
LONGEST_REASON = 300
LONGEST_ID = 1_000
"""Bytes of an id or a name; stores index them, and PostgreSQL's indexes hold two that are a little longer."""

NO_JSON = ("NaN", "Infinity")
"""Numbers that Python reads and writes as JSON, and nobody else."""

EARLIEST_EDIT = datetime(1970, 1, 1, tzinfo=UTC)

LARGEST = 2**63 - 1
"""Largest whole number that the stores hold."""

SPEAKERS_HELD = 4_096
"""Speakers of sessions whose part of an id is kept."""

SESSIONS_HELD = 100_000
"""Sessions whose last message is remembered while a source is read."""


LastKnown = Callable[[str, str, datetime], tuple[str, datetime] | None]


class Normalised(NamedTuple):
    """Frames of the records Messages, Sessions, Speakers, SpeakerNames and Rejects."""

    messages: pl.DataFrame
    sessions: pl.DataFrame
    speakers: pl.DataFrame
    names: pl.DataFrame
    rejects: pl.DataFrame
    feedback: list[dict[str, Any]]
    """What the source says that people thought of messages: message_id, given_at, and what the row says."""


class Normaliser:
    """Turns the batches of one source into frames; what it holds is how its sessions end so far.

    Within a session a row follows the one before it, which is kept where their times do not say so (see `plugins.order`).
    Rows that are equal in everything are counted: two equal lines are two messages, and the same two when they are read again.
    """

    def __init__(
        self, options: SourceOptions, source: str, file: str, known: LastKnown | None = None, *, in_order: bool = False
    ) -> None:
        """Begin to read a source.

        Args:
            in_order: Whether the order of rows holds against their times, or only among those of one time.
            known: Returns the message that was kept last of a conversation (agent, session), for one that goes on (and a time).
        """
        self.options = options
        self._known = known
        self._in_order = in_order
        self._latest = options.now + CLOCK_SKEW
        self.source = source
        self.file = file
        self._seen: set[int] = set()
        self._repeated: dict[str, int] = {}
        self._ids: dict[tuple[str, str, str], ContentIds] = {}
        self._last: dict[tuple[str, str, datetime | None], tuple[str, datetime]] = {}

    def frames(self, rows: Sequence[dict[str, Any]]) -> Normalised:
        """Return what the rows of a batch say; batches come in the source's order."""
        messages: list[dict[str, Any]] = []
        sessions: dict[tuple[str, str], dict[str, Any]] = {}
        speakers: dict[str, dict[str, Any]] = {}
        names: dict[tuple[str, str], dict[str, Any]] = {}
        rejects: list[dict[str, Any]] = []
        feedback: list[dict[str, Any]] = []
        for row in rows:
            try:
                message, name, opt_out = self._one(row)
            except ValueError as error:
                rejects.append(reject(self.source, self.file, _line(row), str(error), row))
                continue
            messages.append(message)
            self._session(sessions, message, opt_out)
            if isinstance(row.get("feedback"), dict):
                feedback.append(
                    {**row["feedback"], "message_id": message["message_id"], "given_at": message["occurred_at"]}
                )
            speaker, kind = message["speaker_id"], "agent" if message["role"] == "agent" else "user"
            known = speakers.get(speaker)
            if known is None or kind < known["kind"]:
                speakers[speaker] = {"speaker_id": speaker, "kind": kind, "opt_out_training": False}
            if name is not None:
                key = (message["agent_id"], speaker)
                # The last name in the source is the one somebody goes by now.
                names[key] = {
                    "agent_id": key[0],
                    "speaker_id": speaker,
                    "display_name": name,
                    "since": message["occurred_at"],
                }
        return Normalised(
            _frame(messages, Messages),
            _frame(list(sessions.values()), Sessions),
            _frame(list(speakers.values()), Speakers),
            _frame(list(names.values()), SpeakerNames),
            _frame(rejects, Rejects),
            feedback,
        )

    def _session(self, sessions: dict[tuple[str, str], dict[str, Any]], message: dict[str, Any], opt_out: bool) -> None:
        key = (message["agent_id"], message["session_id"])
        known = sessions.get(key)
        if known is None:
            sessions[key] = {
                "session_id": message["session_id"],
                "agent_id": message["agent_id"],
                "world_id": message["world_id"],
                "user_id": message["user_id"],
                "opt_out_training": opt_out,
                "started_at": message["occurred_at"],
                "ended_at": None,
                "source": self.source,
                "metadata": None,
            }
        else:
            known["started_at"] = min(known["started_at"], message["occurred_at"])
            known["opt_out_training"] |= opt_out

    def _one(self, row: dict[str, Any]) -> tuple[dict[str, Any], str | None, bool]:
        """Return a message, the name its speaker goes by if the row says it, and whether it must not be trained on.

        Raises:
            ValueError: the row cannot be taken.
        """
        options, get = self.options, row.get
        text = as_text(get("text"))
        if text is None:
            raise ValueError("no text")
        moment = parse_time(get("occurred_at"), options)
        if moment > self._latest:
            raise ValueError(f"date in the future: {moment:%Y-%m-%d}")
        week = week_of(moment)
        if week < options.first_week:
            raise ValueError(f"before the first week {options.first_week} (setting first_week): {moment:%Y-%m-%d}")
        role = _role(get("role"))
        agent = self._agent(_id(get("agent_id")))
        user, name = _id(get("user_id")) or options.user, _id(get("speaker_name"))
        speaker = _id(get("speaker_id")) or name
        if role is None:
            role = "agent" if same_name(speaker, agent) else "user"
        if role == "agent" and (speaker is None or speaker == agent or same_name(speaker, agent)):
            speaker = agent
        speaker = speaker or user
        if speaker is None:
            raise ValueError("no speaker: the row has no speaker_id and no --user was given")
        if user is None and role == "user" and not get("group"):
            user = speaker
        world = _id(get("world_id")) or options.world
        if world is None and agent.startswith("world:"):
            world = world_and_name(agent)[0]  # an id that says itself where its agent lives
        if world is not None:
            agent, speaker = in_world(agent, world), in_world(speaker, world) if role == "agent" else speaker
        session_id = options.session or _id(get("session_id")) or f"{agent}/{user or '-'}/{moment:%Y-%m-%d}"
        turn, ref, edited = _whole(get("turn")), _id(get("source_ref")), get("edited_at")
        if ref is not None and get("is_id"):
            message_id = content_id("m", agent, session_id, ref)
        else:
            message_id = self._id(agent, session_id, speaker, moment, text, ref if ref is not None else turn)
        message = {
            "message_id": message_id,
            "session_id": session_id,
            "agent_id": agent,
            "world_id": world,
            "user_id": user,
            "speaker_id": speaker,
            "role": role,
            "text": text,
            "emotion": as_text(get("emotion")),
            "importance": _share(get("importance")),
            "turn": turn,
            "follows": None if get("alone") else self._before(agent, session_id, message_id, moment),
            "location": as_text(get("location")),
            "participants": _names(get("participants")),
            "model_version": as_text(get("model_version")),
            "metadata": _metadata(get("metadata"), options),
            "occurred_at": moment,
            "edited_at": None if edited is None or edited == "" else self._edited(edited),
            "week": week,
            "source": self.source,
            "source_ref": ref,
        }
        return message, name, _flag(get("opt_out_training")) or options.opt_out

    def _edited(self, value: Any) -> datetime | None:
        """Return when a text was edited; an edit in the future would be the last one for ever, and is none."""
        moment = parse_time(value, self.options)
        return moment if EARLIEST_EDIT <= moment <= self._latest else None

    def _agent(self, named: str | None) -> str:
        """Return the agent's id: how a row writes the name that was asked for is not asked for.

        Raises:
            ValueError: neither the row nor the options name one.
        """
        wanted = self.options.agent
        if named is None or named == wanted:
            if wanted is None:
                raise ValueError("no agent: name it with --agent")
            return wanted
        return wanted if wanted is not None and same_name(named, wanted) else named

    def _id(self, agent: str, session: str, speaker: str, moment: datetime, text: str, own: str | int | None) -> str:
        """Return the message's id; the second of equal rows has another than the first."""
        ids = self._ids.get((agent, session, speaker))
        if ids is None:
            if len(self._ids) >= SPEAKERS_HELD:
                self._ids.clear()
            ids = self._ids[agent, session, speaker] = ContentIds("m", agent, session, speaker)
        message_id = ids.of(moment.isoformat(), text, own)
        short = int(message_id[2:18], 16)  # a set of these takes a third of the memory of one of ids
        if short not in self._seen:
            self._seen.add(short)
            return message_id
        number = self._repeated[message_id] = self._repeated.get(message_id, 1) + 1
        return content_id("m", message_id, number)

    def _before(self, agent: str, session: str, message_id: str, moment: datetime) -> str | None:
        """Return what this message follows, None where its time alone says it or nothing came before."""
        key = (agent, session, None if self._in_order else moment)
        before = self._last.pop(key, None)
        if before is None and self._known is not None:
            before = self._known(agent, session, moment)
        latest = moment if before is None else max(moment, before[1])
        self._last[key] = (message_id, latest)
        if len(self._last) > SESSIONS_HELD:
            del self._last[next(iter(self._last))]
        return before[0] if before is not None and moment <= before[1] else None


def normalise(
    rows: Sequence[dict[str, Any]], options: SourceOptions, source: str, file: str, *, in_order: bool = False
) -> Normalised:
    """Return what all rows of a source say, in one go."""
    return Normaliser(options, source, file, in_order=in_order).frames(rows)


def reject(source: str, file: str, line: int, reason: str, raw: Any) -> dict[str, Any]:
    """Return a row of the record Rejects."""
    try:
        shown = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        shown = "(nested too deeply to be shown)"
    shown = cleaned(shown[: 2 * RAW_KEPT])[:RAW_KEPT]
    file, reason = one_sentence(file), one_sentence(reason, LONGEST_REASON)
    return {
        "reject_id": content_id("r", source, file, line, reason, shown),
        "source": source,
        "file": file,
        "line": line,
        "reason": reason,
        "raw": shown,
    }


def as_text(value: Any) -> str | None:
    """Return a value as text without spaces around it, None for nothing; a list or an object is no text.

    Raises:
        ValueError: it is a list or an object.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, dict | list):
            raise ValueError("a list or an object where text is expected")
        value = str(value)
    if value.isascii() and "\x00" not in value:
        return value.strip() or None
    return cleaned(value).strip() or None


def _id(value: Any) -> str | None:
    """Return an id or a name as text.

    Raises:
        ValueError: it is a list or an object, or longer than any name.
    """
    text = as_text(value)
    if text is not None and 4 * len(text) > LONGEST_ID and len(text.encode()) > LONGEST_ID:
        raise ValueError("a name or an id that is longer than any is")
    return text


def _line(row: dict[str, Any]) -> int:
    value = row.get("line")
    return value if isinstance(value, int) else 0


def _role(value: Any) -> str | None:
    if value is None or value == "":
        return None
    role = ROLE_NAMES.get(value) if isinstance(value, str) else None
    if role is None and isinstance(value, str | int | float):
        role = ROLE_NAMES.get(str(value).strip().lower())
    if role is None:
        raise ValueError(f"unknown role; known are {', '.join(ROLES)}")
    return role


def _whole(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, int) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("turn is no number") from None
    if not 0 <= number <= LARGEST:
        raise ValueError("turn is negative" if number < 0 else "turn is too large")
    return number


def _share(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("importance is no number") from None
    if not 0 <= number <= 1:
        raise ValueError("importance is not between 0 and 1")
    return number


def _flag(value: Any) -> bool:
    return value is True or (
        value is not None and value is not False and str(value).strip().lower() in ("1", "true", "yes", "t")
    )


def _names(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.startswith("["):
        try:
            value = parsed(value)
        except ValueError:
            raise ValueError("participants is no JSON list") from None
    names = value.split("|") if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set):
        raise ValueError("participants is no list")
    told = {cleaned(str(name)) for name in names if isinstance(name, str | int | float)}
    return json.dumps(sorted(name for name in told if len(name) <= LONGEST_ID), ensure_ascii=False)


def _metadata(value: Any, options: SourceOptions) -> str | None:
    """Return free metadata as JSON; what was given for all stands under what the row says."""
    if not value and not options.metadata:
        return None
    own = value
    if isinstance(value, str):
        try:
            own = parsed(value)
        except json.JSONDecodeError:
            own = value
        except ValueError as error:
            raise ValueError(f"metadata: {error}") from None
        if not options.metadata and not any(word in value for word in NO_JSON):
            return cleaned(value)
    if options.metadata:
        own = {**options.metadata, **(own if isinstance(own, dict) else {} if own in (None, "") else {"source": own})}
    try:
        return cleaned(json.dumps(_finite(own), sort_keys=True, ensure_ascii=False, default=str, allow_nan=False))
    except (ValueError, RecursionError, TypeError):
        raise ValueError("metadata cannot be kept as JSON") from None


def _finite(value: Any) -> Any:
    """Return a value in which numbers that are none are null, as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _frame(rows: list[dict[str, Any]], record: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=record.polars_schema(), orient="row") if rows else record.create_empty()
