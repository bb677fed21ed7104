"""Keeping what a bot says: into the store, or into the spool while the store cannot be used, and from there into the store.

Ids are the same either way: of what is said, when and by whom. What is said first is kept first: as long as anything waits in the
spool, what comes after it waits behind it.
"""

import contextlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from plugins.contracts import SourceOptions
from plugins.sources.normalise import Normalised, Normaliser, reject
from records.errors import ErasedMeanwhile, MemoryAssetsError, StoreError, StoreUnreachable
from records.ids import content_id
from records.names import as_id, cleaned, in_world, like, same_name, world_and_name
from records.store import Messages
from resources.people import People
from resources.reaching import at_most
from resources.store import as_json
from serving.capture import Erased, conversation, write
from serving.reach import AGAIN_WAIT_S
from serving.spool import as_line, read_lines

if TYPE_CHECKING:
    from serving.installation import Installation

log = logging.getLogger(__name__)

HELD = 10_000
"""Agents, conversations and messages that are remembered of what was kept."""

DRAIN_S = 0.5
"""Seconds that one call of a chat takes lines in; the others follow with the next calls."""

RUN_WAIT_S = 60.0
"""Seconds that a run or an erasure waits for another process that takes lines in."""

IDENTITY = ("agent_id", "world_id", "user_id", "session_id", "speaker_id", "speaker_name")
CONTENT = (
    "role", "text", "emotion", "importance", "turn", "location", "participants", "model_version", "metadata",
)  # fmt: skip


@dataclass
class Drained:
    """What became of lines of the spool; messages, but for ``rejected``: lines."""

    kept: int = 0
    known: int = 0
    erased: int = 0
    rejected: int = 0
    left: int = 0
    why: str = ""


@dataclass
class Ready:
    """Messages under the ids that they have from now on."""

    taken: Normalised
    messages: pl.DataFrame
    looked: Erased | None = None
    """Who was erased when it was found that nobody of these was."""


LastKept = Callable[[str, str, datetime], tuple[str, datetime] | None]


class Keeper:
    """Keeps what is said to the agents of one installation."""

    def __init__(self, installation: "Installation") -> None:
        self._of = installation
        self._agents: set[str] = set()
        self._alike: OrderedDict[str, str] = OrderedDict()
        self._last: OrderedDict[tuple[str, str], tuple[str, datetime]] = OrderedDict()
        self._latest: OrderedDict[tuple[str, str], list[str | None]] = OrderedDict()
        self._said: OrderedDict[str, None] = OrderedDict()
        self._renamed: OrderedDict[str, str] = OrderedDict()
        self._erased: Erased | None = None
        self._settled: OrderedDict[str, None] = OrderedDict()

    # -- who ------------------------------------------------------------------------------------------------------

    def agent_id(self, agent: str, world: str | None = None) -> str:
        """Return the id of an agent: the known one that has this name, whatever case or accents, else the name itself."""
        world = as_id(world) if world is not None else None
        named = in_world(agent, world) if world else as_id(agent)
        if named in self._agents:
            return named
        people = People(self._of.store)
        found = people.agent(agent, world)
        if found == named:  # one that is only alike is looked up each time: another may come that is called exactly so
            if len(self._agents) >= HELD:
                self._agents.clear()
            self._agents.add(named)
        found = found or (in_world(agent, people.world(world)) if world else named)
        _remember(self._alike, named, found)
        return found

    def agent_as_known(self, agent: str, world: str | None = None) -> str:
        """Return who was last found under a name, without asking the store; else the name as it is written."""
        world = as_id(world) if world is not None else None
        named = in_world(agent, world) if world else as_id(agent)
        return self._alike.get(named) or like(named, {found: found for found in list(self._alike.values())}) or named

    # -- what is said ---------------------------------------------------------------------------------------------

    def take(self, rows: list[dict[str, Any]]) -> list[str]:
        """Keep what was said one after the other, all of it or nothing; return the ids.

        Raises:
            StoreError: it cannot be kept: no text, a time in the future, somebody erased; or nothing can be written anywhere.
        """
        now = datetime.now(UTC)
        ready: Ready | None = None
        for row in rows:
            if row["role"] == "agent" and same_name(row["speaker_id"], row["agent_id"]):
                row["speaker_id"] = None  # the agent itself, under the id that it has
            moment = row.get("occurred_at") or now
            row["occurred_at"] = self._of.moment(moment) if moment.tzinfo is None else moment
            row["group"] = row["user_id"] is None
        is_given = any(row["occurred_at"] != now for row in rows)
        try:
            if self._is_settled():
                while True:
                    ready = made = self._of.reach.ask(
                        lambda: self._for_store(rows, now, is_given=is_given), writes=True
                    )
                    with contextlib.suppress(
                        ErasedMeanwhile
                    ):  # then it is looked once more whether it was one of these
                        self._of.reach.ask(lambda: self._written(made), writes=True)  # noqa: B023
                        self._note(made.messages)
                        return made.messages["message_id"].to_list()
        except StoreUnreachable:
            pass
        ready = ready or self._for_spool(rows, now, is_given=is_given)
        messages = [
            {**message, "speaker_name": cleaned(str(row.get("speaker_name") or message["speaker_id"]))}
            for row, message in zip(rows, _plain(ready.messages), strict=True)
        ]
        said = [{name: _named(row.get(name)) for name in IDENTITY} for row in rows]
        self._of.spool.append({"kind": "messages", "at": now.isoformat(), "said": said, "messages": messages})
        self._note(ready.messages)
        return ready.messages["message_id"].to_list()

    def _written(self, made: Ready) -> int:
        """Write messages of nobody who was erased when it was last looked; return how many are new.

        Raises:
            ErasedMeanwhile: somebody was erased since.
        """
        assert made.looked is not None
        return write(self._of.store, made.taken, made.messages, made.looked)

    def take_session(self, kind: str, given: dict[str, Any]) -> None:
        """Keep that a conversation began ("session") or is over ("ended").

        Args:
            given: What `_settle_session` reads: plain values.

        Raises:
            StoreError: one is begun by somebody who was erased.
        """
        now = datetime.now(UTC)
        try:
            if self._is_settled():
                if kind == "session" and self._of.reach.ask(lambda: self._is_erased(given)):
                    raise StoreError("the session cannot be begun: its user or itself was erased")
                self._of.reach.ask(lambda: self._settle_session(kind, given, now), writes=True)
                return
        except StoreUnreachable:
            pass
        self._of.spool.append({"kind": kind, "at": now.isoformat(), "given": given})

    def _note(self, messages: pl.DataFrame) -> None:
        """Remember what was kept: what is said while the store is away comes after it."""
        for agent, session, message_id, moment in messages.select(
            "agent_id", "session_id", "message_id", "occurred_at"
        ).rows():
            before = self._last.get((agent, session))
            _remember(self._last, (agent, session), (message_id, max(moment, before[1]) if before else moment))
            _remember(self._said, message_id, None)
            _remember(self._latest, (agent, session), messages["message_id"].to_list())

    def _normalised(self, rows: list[dict[str, Any]], now: datetime, last: LastKept) -> Normalised:
        options = SourceOptions(first_week=self._of.settings.first_week, now=now)
        taken = Normaliser(options, "client", "", last).frames(rows)
        if taken.rejects.height:
            raise StoreError(f"the message cannot be kept: {taken.rejects['reason'][0]}")
        return taken

    def _for_store(self, rows: list[dict[str, Any]], now: datetime, *, is_given: bool) -> Ready:
        """Return what the store is to hold."""

        def last_kept(agent: str, session: str, moment: datetime) -> tuple[str, datetime] | None:
            # A clock that went back is no reason to put what is said now before what was; a time that was given is believed.
            return self._of.store.last_of(agent, session, moment, later=moment == now)

        taken = self._normalised([self._placed(row, self.agent_id) for row in rows], now, last_kept)
        looked = self._new_erased()
        messages, erased = looked.without(taken.messages)
        if erased:
            raise StoreError("the message cannot be kept: its user, session or itself was erased")
        return Ready(taken, self._said_again(messages) if is_given else messages, looked)

    def _for_spool(self, rows: list[dict[str, Any]], now: datetime, *, is_given: bool) -> Ready:
        """Return the same without the store, by what is known of it here."""

        def last_kept(agent: str, session: str, moment: datetime) -> tuple[str, datetime] | None:
            last = self._last.get((agent, session))
            return last if last is not None and (last[1] == moment or (moment == now and last[1] > moment)) else None

        taken = self._normalised([self._placed(row, self.agent_as_known) for row in rows], now, last_kept)
        messages = taken.messages
        if self._erased is not None:
            known, erased = self._erased, 0
            # The store was asked a moment ago; it is only for a key that was not needed until now.
            with at_most(AGAIN_WAIT_S), contextlib.suppress(StoreUnreachable):
                messages, erased = known.without(taken.messages)
            if erased:
                raise StoreError("the message cannot be kept: its user, session or itself was erased")
        if not is_given:
            return Ready(taken, messages)
        ids = messages["message_id"].to_list()
        row = messages.row(-1, named=True)
        numbered = {own: self._numbered(own, self._said.__contains__) for own in ids}
        if self._latest.get((row["agent_id"], row["session_id"])) == [numbered[own][0] for own in ids]:  # tried again
            before = {own: pair[0] for own, pair in numbered.items()}
            messages = messages.with_columns(pl.col("message_id").replace(before), follows=pl.lit(None, pl.String))
            return Ready(taken, messages)
        new = {own: pair[1] for own, pair in numbered.items()}
        return Ready(taken, messages.with_columns(pl.col("message_id", "follows").replace(new)))

    @staticmethod
    def _placed(row: dict[str, Any], agent_id: Callable[[str, str | None], str]) -> dict[str, Any]:
        agent = agent_id(row["agent_id"], row["world_id"])
        return {**row, "agent_id": agent, "world_id": world_and_name(agent)[0]}

    @staticmethod
    def _numbered(own: str, is_there: Callable[[str], bool]) -> tuple[str | None, str]:
        """Return the last id under which the same was said at this time, None if it was not, and the next one."""
        latest, each, number = None, own, 1
        while is_there(each):
            latest, number = each, number + 1
            each = content_id("m", own, number)  # as equal rows of a file are numbered
        return latest, each

    def _said_again(self, messages: pl.DataFrame) -> pl.DataFrame:
        """Return messages of a time that was given under ids of their own, where the same was said at this time before.

        Kept once more right after itself it is one that is tried again: then none is left.
        """
        store = self._of.store
        ids = messages["message_id"].to_list()
        numbered = {own: self._numbered(own, lambda one: bool(store.rows("messages", message_id=one))) for own in ids}
        known, new = ({own: pair[place] for own, pair in numbered.items()} for place in (0, 1))
        if all(latest is None for latest in known.values()):
            return messages
        row = messages.row(-1, named=True)
        last = store.last_of(row["agent_id"], row["session_id"], row["occurred_at"], later=False)
        is_last = last is not None and last[0] == known[ids[-1]]
        if is_last and len(ids) > 1:
            [kept] = store.rows("messages", message_id=known[ids[-1]])
            is_last = known[ids[0]] in (kept["follows"] or "").split()
        if is_last:
            return messages.with_columns(pl.col("message_id").replace(known), follows=pl.lit(None, pl.String))
        return messages.with_columns(pl.col("message_id").replace(new), pl.col("follows").replace(new))

    # -- from the spool into the store ----------------------------------------------------------------------------

    def _is_settled(self) -> bool:
        """Return whether nothing waits any more; what does is taken in for half a second."""
        return self._of.spool.is_empty() or not self.drain(limit_s=DRAIN_S).left

    def drain(self, *, limit_s: float | None = None, wait_s: float = 0.0) -> Drained:
        """Take the lines of the spool into the store, in order, each once whoever else does and whenever one is killed.

        Args:
            limit_s: Begin no line after so many seconds; None: take in all.
            wait_s: How long another one who drains is waited for.
        """
        done, spool = Drained(), self._of.spool
        if spool.is_empty():
            return done
        if self._of.reach.is_resting():
            return Drained(left=1, why=self._of.reach.why)
        try:
            spool.flush()
            with spool.draining(wait_s) as mine:
                if mine:
                    while (path := spool.claim()) is not None:
                        if not self._drain_lines(read_lines(path), done, limit_s):
                            break
                        spool.done()
                        self._settled.clear()
                    else:
                        self._drain_held(done, limit_s)
                else:
                    done.why = "another process takes them in"
        except OSError as error:
            done.why = f"{spool.folder} cannot be written: {error.strerror or type(error).__name__}"
            self._drain_held(done, limit_s)
        done.left = len(spool.lines())
        if done.kept or done.rejected:
            log.info("taken in from the spool: %d messages; %d lines were refused", done.kept, done.rejected)
        return done

    def drained(self) -> Drained:
        """Take all of it in, waiting for others who do.

        Raises:
            StoreError: something is left.
        """
        self._of.reach.try_again()
        done = self.drain(wait_s=RUN_WAIT_S)
        if done.left:
            raise StoreError(
                f"{self._of.spool.folder} holds what waits for the store and cannot be taken in: {done.why}"
            )
        return done

    def _drain_held(self, done: Drained, limit_s: float | None) -> None:
        """Take in what no disk took."""
        spool = self._of.spool
        while (line := spool.oldest_held()) is not None and self._drain_lines([line], done, limit_s):
            spool.drop_held(line)

    def _drain_lines(self, texts: list[str], done: Drained, limit_s: float | None) -> bool:
        """Return whether all lines are in the store, or refused."""
        lines = [as_line(text) for text in texts]
        try:
            there = self._of.reach.ask(lambda: self._received(lines))
            began = time.monotonic()  # opening a store for the first time takes longer than a call of a chat has
            for number, (text, line) in enumerate(zip(texts, lines, strict=True), start=1):
                if line is not None and line["kind"] == "messages" and _is_there(line, there):
                    done.known += len(line["messages"])
                    continue
                if text in self._settled:  # by an earlier call; that of a killed process settles it once more
                    continue
                if limit_s is not None and time.monotonic() - began > limit_s:
                    done.why = "there are many"
                    return False
                self._of.reach.ask(lambda: self._settle(text, line, number, done), writes=True)  # noqa: B023
                if line is None or line["kind"] != "messages" or limit_s is not None:
                    _remember(self._settled, text, None)
        except StoreUnreachable as error:
            done.why = str(error)
            return False
        return True

    def _received(self, lines: list[dict[str, Any] | None]) -> dict[str, datetime]:
        """Return message id to when the store received it, of the messages of lines."""
        ids = [
            str(message["message_id"])
            for line in lines
            if line is not None and line["kind"] == "messages"
            for message in line.get("messages") or ()
            if isinstance(message, dict) and "message_id" in message
        ]
        return self._of.store.received(ids)

    def _settle(self, text: str, line: dict[str, Any] | None, number: int, done: Drained) -> None:
        """Take in one line; what cannot be taken is a reject that is kept, so that no line stops those after it."""
        try:
            if line is None:
                raise ValueError("a damaged line")
            at = datetime.fromisoformat(line["at"])
            if line["kind"] == "messages":
                self._settle_messages(line, at, done)
            elif not self._is_erased(line["given"]):
                self._settle_session(line["kind"], line["given"], at)
        except StoreUnreachable:
            raise
        except (MemoryAssetsError, sa.exc.DBAPIError, ValueError, KeyError, TypeError) as error:
            # Of errors that are not ours only the kind is kept: they quote values.
            why = (
                str(error) if isinstance(error, StoreError) else f"a line that cannot be read ({type(error).__name__})"
            )
            self._of.store.insert_once("rejects", [reject("client", "spool", number, why, text)])
            done.rejected += 1

    def _settle_messages(self, line: dict[str, Any], at: datetime, done: Drained) -> None:
        rows = []
        for who, message in zip(line["said"], line["messages"], strict=True):
            row = {**{name: message[name] for name in CONTENT}, **{name: who[name] for name in IDENTITY}}
            row["occurred_at"] = datetime.fromisoformat(message["occurred_at"])
            row["group"] = row["user_id"] is None
            rows.append(self._placed(row, self.agent_id))
        store = self._of.store

        def last_kept(agent: str, session: str, moment: datetime) -> tuple[str, datetime] | None:
            return store.last_of(agent, session, moment, later=False)

        taken = self._normalised(rows, at, last_kept)
        looked = self._new_erased()
        messages, erased = looked.without(taken.messages)
        if erased:  # both of an exchange or neither
            done.erased += taken.messages.height
            return
        # The ids are those that were told, whatever the agent's name has become; the order is that of what was said then.
        told = [message["message_id"] for message in line["messages"]]
        then = pl.Series("follows", [message["follows"] for message in line["messages"]], dtype=pl.String)
        ids = dict(zip(messages["message_id"], told, strict=True))
        messages = messages.with_columns(
            pl.col("message_id").replace(ids),
            follows=pl.coalesce(pl.lit(then).replace(self._renamed), pl.col("follows").replace(ids)),
        )
        if any(row["occurred_at"] != at for row in rows):
            messages = self._said_again(messages)
            for own, now in zip(told, messages["message_id"], strict=True):
                if own != now:  # the same was said at this time before, which was not known when it was spooled
                    _remember(self._renamed, own, now)
        try:
            new = write(store, taken, messages, looked)
        except ErasedMeanwhile:
            self._settle_messages(line, at, done)
            return
        done.kept += new
        done.known += messages.height - new

    def _settle_session(self, kind: str, given: Mapping[str, Any], at: datetime) -> None:
        """Write that a conversation began or is over: session, agent and world as named, user, opt_out, metadata as JSON."""
        store, session = self._of.store, given["session"]
        table = store.meta.tables["sessions"]
        if kind == "ended":
            over = [table.c.session_id == session]
            if given["agent"] is not None:
                over.append(table.c.agent_id == self.agent_id(given["agent"], given["world"]))
            with store.writer.begin() as connection:
                connection.execute(sa.update(table).where(*over).values(ended_at=at))
            return
        if kind != "session":
            raise ValueError("a line of an unknown kind")
        agent = self.agent_id(given["agent"], given["world"])
        row = {
            "session_id": session,
            "agent_id": agent,
            "world_id": world_and_name(agent)[0],
            "user_id": given["user"],
            "opt_out_training": given["opt_out"],
            "started_at": at,
            "ended_at": None,
            "source": "client",
            "metadata": as_json(given["metadata"]),
        }
        store.insert_once("sessions", [row])
        if given["opt_out"]:
            store.set_opt_out(session_id=session, agent_id=agent)

    def _is_erased(self, given: Mapping[str, Any]) -> bool:
        """Return whether a conversation, or whose it is, was erased after it was spooled."""
        erased, session = self._new_erased(), given["session"]
        named = [("user", given.get("user")), ("session", session)]
        if given["agent"] is not None:
            named.append(("conversation", conversation(self.agent_id(given["agent"], given["world"]), session)))
        return any(kind in erased.kinds and erased.subject(kind, one) in erased.hashes for kind, one in named if one)

    def _new_erased(self) -> Erased:
        self._erased = Erased(self._of.store, self._of.keys)
        return self._erased


def _is_there(line: dict[str, Any], received: dict[str, datetime]) -> bool:
    """Return whether a line was taken in already. Of messages of a time that was given equal ones may have come before it."""
    try:
        at = datetime.fromisoformat(line["at"])
        return all(
            message["message_id"] in received
            and (message["occurred_at"] == line["at"] or received[message["message_id"]] >= at)
            for message in line["messages"]
        )
    except (KeyError, TypeError, ValueError):
        return False


def _plain(messages: pl.DataFrame) -> list[dict[str, Any]]:
    """Return messages as JSON takes them."""
    rows = messages.select(Messages.column_names()).to_dicts()
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]


def _named(value: Any) -> str | None:
    return None if value is None else cleaned(str(value))


def _remember(held: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    held[key] = value
    held.move_to_end(key)
    while len(held) > HELD:
        held.popitem(last=False)


def plain_metadata(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return free metadata as it comes back from JSON; what JSON does not know is written as text."""
    known: dict[str, Any] = json.loads(json.dumps(dict(value or {}), default=str))
    return known
