"""From rows as a source gives them to messages, sessions and speakers as the store takes them.

A row needs a text and a time; everything else has a default. A row that cannot be taken becomes a reject with its line and reason.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from plugins.contracts import SourceOptions
from plugins.sources.reading import one_sentence
from plugins.sources.times import parse_time
from plugins.sources.values import (
    as_flag,
    as_importance,
    as_metadata,
    as_name,
    as_participants,
    as_role,
    as_text,
    as_turn,
)
from records.ids import ContentIds, content_id
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

CLOCK_SKEW = timedelta(minutes=5)
RAW_KEPT = 2_000
LONGEST_REASON = 300

EARLIEST_EDIT = datetime(1970, 1, 1, tzinfo=UTC)

SPEAKERS_HELD = 4_096
"""Speakers of sessions whose part of an id is kept, and ways of saying who speaks."""

SESSIONS_HELD = 100_000
"""Sessions whose last message is remembered while a source is read."""

MESSAGE = Messages.polars_schema()
"""Columns of a message, in the order in which `Normaliser` makes one."""

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


class Who(NamedTuple):
    """Who speaks in a row, and in whose memory."""

    agent: str
    world: str | None
    user: str | None
    speaker: str
    name: str | None
    role: str


class Normaliser:
    """Turns the batches of one source into frames; what it holds is how its sessions end so far.

    Within a session a row follows the one before it, which is kept where their times do not say so (see `transforms.order`).
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
        self._who: dict[tuple[Any, ...], Who] = {}
        self._ids: dict[tuple[str, str, str], ContentIds] = {}
        self._last: dict[tuple[str, str, datetime | None], tuple[str, datetime]] = {}

    def frames(self, rows: Sequence[dict[str, Any]]) -> Normalised:
        """Return what the rows of a batch say; batches come in the source's order."""
        messages: list[tuple[Any, ...]] = []
        sessions: dict[tuple[str, str], dict[str, Any]] = {}
        speakers: dict[str, str] = {}
        names: dict[tuple[str, str], tuple[str, datetime]] = {}
        rejects: list[dict[str, Any]] = []
        feedback: list[dict[str, Any]] = []
        for row in rows:
            try:
                who, session, moment, message = self._one(row)
                opt_out = self.options.opt_out or as_flag(row.get("opt_out_training"))
            except ValueError as error:
                rejects.append(reject(self.source, self.file, _line(row), str(error), row))
                continue
            messages.append(message)
            talk = (who.agent, session)
            known = sessions.get(talk)
            if known is None:
                sessions[talk] = self._session(who, session, moment, opt_out)
            else:
                known["started_at"] = min(known["started_at"], moment)
                known["opt_out_training"] |= opt_out
            if "feedback" in row and isinstance(row["feedback"], dict):
                feedback.append({**row["feedback"], "message_id": message[0], "given_at": moment})
            kind = "agent" if who.role == "agent" else "user"
            if speakers.get(who.speaker, "user") >= kind:
                speakers[who.speaker] = kind
            if who.name is not None:
                # The last name in the source is the one somebody goes by now.
                names[who.agent, who.speaker] = who.name, moment
        return Normalised(
            _messages(messages),
            _frame(list(sessions.values()), Sessions),
            _frame(
                [{"speaker_id": who, "kind": kind, "opt_out_training": False} for who, kind in speakers.items()],
                Speakers,
            ),
            _frame(
                [
                    {"agent_id": agent, "speaker_id": speaker, "display_name": name, "since": since}
                    for (agent, speaker), (name, since) in names.items()
                ],
                SpeakerNames,
            ),
            _frame(rejects, Rejects),
            feedback,
        )

    def _session(self, who: Who, session: str, moment: datetime, opt_out: bool) -> dict[str, Any]:
        return {
            "session_id": session,
            "agent_id": who.agent,
            "world_id": who.world,
            "user_id": who.user,
            "opt_out_training": opt_out,
            "started_at": moment,
            "ended_at": None,
            "source": self.source,
            "metadata": None,
        }

    def _one(self, row: dict[str, Any]) -> tuple[Who, str, datetime, tuple[Any, ...]]:
        """Return who speaks, in which session and when, and the message, its columns in the order of `MESSAGE`.

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
        who = self._speaking(row)
        agent, world, user, speaker, _name, role = who
        session = options.session or as_name(get("session_id")) or f"{agent}/{user or '-'}/{moment:%Y-%m-%d}"
        turn, ref, edited = as_turn(get("turn")), as_name(get("source_ref")), get("edited_at")
        if ref is not None and get("is_id"):
            message_id = content_id("m", agent, session, ref)
        else:
            message_id = self._id(agent, session, speaker, moment, text, ref if ref is not None else turn)
        message = (
            message_id,
            session,
            agent,
            world,
            user,
            speaker,
            role,
            text,
            as_text(get("emotion")),
            as_importance(get("importance")),
            turn,
            None if get("alone") else self._before(agent, session, message_id, moment),
            as_text(get("location")),
            as_participants(get("participants")),
            as_text(get("model_version")),
            as_metadata(get("metadata"), options.metadata),
            moment,
            None if edited is None or edited == "" else self._edited(edited),
            week,
            self.source,
            ref,
        )
        return who, session, moment, message

    def _speaking(self, row: dict[str, Any]) -> Who:
        """Return who speaks; most rows of a source say it in one of a few ways, each of which is looked at once.

        Raises:
            ValueError: the row does not say it.
        """
        get = row.get
        said = (
            get("agent_id"),
            get("user_id"),
            get("speaker_id"),
            get("speaker_name"),
            get("role"),
            get("world_id"),
            bool(get("group")),
        )
        try:
            known = self._who.get(said)
        except TypeError:  # a list or an object, which `_resolved` refuses
            return self._resolved(*said)
        if known is None:
            known = self._resolved(*said)
            if all(value is None or type(value) is str for value in said[:-1]):  # 1 and True are one key, and two names
                if len(self._who) >= SPEAKERS_HELD:
                    self._who.clear()
                self._who[said] = known
        return known

    def _resolved(
        self,
        agent_id: Any,
        user_id: Any,
        speaker_id: Any,
        speaker_name: Any,
        role_name: Any,
        world_id: Any,
        group: bool,
    ) -> Who:
        """Return who speaks, of what a row says.

        Raises:
            ValueError: nobody does, or not to a known agent.
        """
        options = self.options
        role = as_role(role_name)
        agent = self._agent(as_name(agent_id))
        user, name = as_name(user_id) or options.user, as_name(speaker_name)
        speaker = as_name(speaker_id) or name
        if role is None:
            role = "agent" if same_name(speaker, agent) else "user"
        if role == "agent" and (speaker is None or speaker == agent or same_name(speaker, agent)):
            speaker = agent
        speaker = speaker or user
        if speaker is None:
            raise ValueError("no speaker: the row has no speaker_id and no --user was given")
        if user is None and role == "user" and not group:
            user = speaker
        world = as_name(world_id) or options.world
        if world is None and agent.startswith("world:"):
            world = world_and_name(agent)[0]  # an id that says itself where its agent lives
        if world is not None:
            agent, speaker = in_world(agent, world), in_world(speaker, world) if role == "agent" else speaker
        return Who(agent, world, user, speaker, name, role)

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


def _line(row: dict[str, Any]) -> int:
    value = row.get("line")
    return value if isinstance(value, int) else 0


def _messages(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Return the messages as a frame: column by column in a fifth of the time that rows take."""
    if not rows:
        return Messages.create_empty()
    columns = zip(MESSAGE.items(), zip(*rows, strict=True), strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype=dtype) for (name, dtype), values in columns])


def _frame(rows: list[dict[str, Any]], record: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=record.polars_schema(), orient="row") if rows else record.create_empty()
