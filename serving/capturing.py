"""The capturing half of the client: sessions, messages one by one, imports, feedback, opt-outs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from model_registry.files import opted_out_messages
from plugins.contracts import SourceOptions
from privacy.trace import quarantine
from records.errors import MemoryAssetsError, StoreError
from records.ids import content_id
from records.names import as_id
from resources.people import People
from serving.capture import ImportSummary, Preview, import_target, preview
from serving.installation import Installation
from serving.keeping import plain_metadata


class Capturing(Installation):
    """What takes messages in."""

    @property
    def people(self) -> People:
        """Return who there is in the store."""
        return People(self.store)

    def agent_id(self, agent: str, world: str | None = None) -> str:
        """Return the id of an agent: the known one that has this name, whatever case or accents, else the name itself."""
        return self.keeper.agent_id(agent, world)

    def start_session(
        self,
        agent: str,
        user: str | None = None,
        *,
        session: str | None = None,
        world: str | None = None,
        opt_out_training: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a conversation; return its id.

        Raises:
            StoreError: the user or the session was erased.
        """
        begun = datetime.now(UTC)
        user = as_id(user) or None if user is not None else None
        named = self.reach.read(lambda: self.agent_id(agent, world), self.keeper.agent_as_known(agent, world))
        session = as_id(session or "") or content_id("s", named, user, begun.isoformat())
        given = {
            "agent": agent,
            "world": world,
            "session": session,
            "user": user,
            "opt_out": opt_out_training,
            "metadata": plain_metadata(metadata),
        }
        self.keeper.take_session("session", given)
        return session

    def end_session(self, session: str, *, agent: str | None = None, world: str | None = None) -> None:
        """Note that a conversation is over.

        Args:
            agent: Whose, where several agents use one id for a conversation; None: all of that id.
        """
        self.keeper.take_session("ended", {"session": as_id(session), "agent": agent, "world": world})

    def remember(
        self,
        text: str,
        *,
        agent: str,
        user: str | None = None,
        session: str | None = None,
        world: str | None = None,
        role: str = "user",
        speaker: str | None = None,
        speaker_name: str | None = None,
        emotion: str | None = None,
        importance: float | None = None,
        occurred_at: datetime | None = None,
        location: str | None = None,
        participants: Sequence[str] | None = None,
        model_version: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        turn: int | None = None,
    ) -> str:
        """Keep one utterance; return its id. It is recallable at once, before any batch.

        What is kept of one time stays in the order in which it was given. While the store cannot be used it is kept in the
        installation's spool, under the same id, and taken into the store by the next call that reaches it.

        Args:
            world: The world that the agent lives in; agents of different worlds with one name are different.
            emotion: In any word; it wins over what would be read in the text.
            importance: From 0 to 1; it wins over what would be found.
            occurred_at: Default now; without a time zone it is of that of the settings.

        Raises:
            StoreError: the text is empty, the time is in the future, or the subject was erased; or neither store nor spool can be
                written, and too much waits in memory already.
        """
        return self._taken(
            {
                "session_id": session,
                "agent_id": agent,
                "world_id": world,
                "user_id": user,
                "role": role,
                "text": text,
                "emotion": emotion,
                "importance": importance,
                "turn": turn,
                "speaker_id": speaker or (agent if role == "agent" else user),
                "speaker_name": speaker_name,
                "location": location,
                "participants": list(participants) if participants else None,
                "model_version": model_version,
                "metadata": dict(metadata) if metadata else None,
                "occurred_at": occurred_at,
            }
        )[0]

    def remember_exchange(
        self,
        input_text: str,
        output_text: str,
        *,
        agent: str,
        user: str,
        session: str | None = None,
        input_emotion: str | None = None,
        output_emotion: str | None = None,
        speaker_name: str | None = None,
        model_version: str | None = None,
        turn: int | None = None,
        **shared: Any,
    ) -> tuple[str, str]:
        """Keep what was said and what was answered, both or neither; return both ids. They stay a pair whatever their times say.

        Args:
            speaker_name: The user's.
            turn: Number of the exchange.
            shared: As `remember` takes it, for both: world, occurred_at, importance, location, participants, metadata.

        Raises:
            StoreError: as `remember`.
        """
        unknown = set(shared) - {"world", "occurred_at", "importance", "location", "participants", "metadata"}
        if unknown:
            raise TypeError(f"remember_exchange() does not take {', '.join(sorted(unknown))}")
        both = {**shared, "world_id": shared.get("world"), "agent_id": agent, "user_id": user, "session_id": session}
        first, second = self._taken(
            {
                **both,
                "role": "user",
                "text": input_text,
                "emotion": input_emotion,
                "speaker_id": user,
                "speaker_name": speaker_name,
                "turn": None if turn is None else 2 * turn,
            },
            {
                **both,
                "role": "agent",
                "text": output_text,
                "emotion": output_emotion,
                "speaker_id": agent,
                "model_version": model_version,
                "turn": None if turn is None else 2 * turn + 1,
            },
        )
        return first, second

    def _taken(self, *rows: dict[str, Any]) -> list[str]:
        return self.keeper.take(list(rows))

    def import_file(
        self, target: str, options: SourceOptions | None = None, *, format: str | None = None
    ) -> ImportSummary:
        """Import a file, a folder, an archive or a database table; what waited for the store comes in before."""
        self.keeper.drained()
        return import_target(self.store, self.registry, self.keys, target, self.import_options(options), name=format)

    def import_options(self, options: SourceOptions | None = None) -> SourceOptions:
        """Return the options of an import with the time zone of the installation, which its time of the first message has, too."""
        chosen = replace(options or SourceOptions(first_week=self.settings.first_week), local=self.settings.timezone)
        return replace(chosen, at=None if chosen.at is None else self.moment(chosen.at, chosen.zone))

    def preview_import(
        self, target: str, options: SourceOptions | None = None, *, format: str | None = None
    ) -> Preview:
        """Return what an import would take: format, people, first messages and rejects; nothing is kept."""
        return preview(self.store, self.registry, target, self.import_options(options), name=format)

    def feedback(
        self,
        message_id: str,
        *,
        rating: float | None = None,
        scale: tuple[float, float] | None = None,
        correct: bool | None = None,
        correction: str | None = None,
        quality: float | None = None,
    ) -> str:
        """Keep what somebody said of an answer; a person's quality overrides the scorer's.

        Args:
            rating: Within ``scale``.
            scale: Worst and best rating, e.g. ``(1, 5)`` for stars or ``(0, 1)`` for thumbs; default -1 to 1.
            correction: What should have been answered; datasets learn it instead, and keep both as a preference pair.
            quality: From 0 to 1.

        Raises:
            MemoryAssetsError: a value outside of its scale.
            StoreError: there is no such message.
        """
        self.keeper.drain()
        rows = self.reach.ask(lambda: self.store.rows("messages", message_id=message_id))
        if not rows:
            raise StoreError("there is no such message")
        if quality is not None and not 0 <= quality <= 1:
            raise MemoryAssetsError(f"quality {quality:g} is not between 0 and 1")
        if correction is not None and not correction.strip():
            raise MemoryAssetsError("a correction says what should have been answered: this one is empty")
        if correction is not None and rows[0]["role"] != "agent":
            raise MemoryAssetsError("only an agent's answer can be corrected: this message is not one")
        on_this_scale = None if rating is None else on_scale(rating, scale)

        def write() -> str:
            return self.store.add_feedback(
                message_id,
                rating=on_this_scale,
                correct=correct,
                correction=correction,
                quality_override=quality,
            )

        return self.reach.ask(write, writes=True)

    def opt_out(
        self,
        *,
        user: str | None = None,
        session: str | None = None,
        agent: str | None = None,
        world: str | None = None,
        value: bool = True,
    ) -> int:
        """Set the training opt-out of a user or a session; datasets and training respect it from now on.

        A user may opt out before the first message. Adapters that were trained on what they said are quarantined and taken away from
        where servers find them; see `trace`.

        Args:
            agent: Whose session, where several agents use one id for a conversation; None: all of that id. A user opts out
                with every agent.

        Raises:
            MemoryAssetsError: not exactly one of user and session is named, or an agent without session.
        """
        if (not user) == (not session):
            raise MemoryAssetsError("name exactly one of user, session to opt out")
        if agent is not None and not session:
            raise MemoryAssetsError("a user opts out with every agent: name an agent with a session only")
        self.keeper.drained()  # a conversation that waits for the store could not be marked
        changed = self.store.set_opt_out(
            speaker_id=as_id(user) if user else None,
            session_id=as_id(session) if session else None,
            agent_id=None if agent is None else self.agent_id(agent, world),
            value=value,
        )
        if changed and value:
            quarantine(self, opted_out_messages(self.store))
        return changed


def on_scale(rating: float, scale: tuple[float, float] | None) -> float:
    """Return a rating from -1 (worst) to 1 (best).

    Raises:
        MemoryAssetsError: the scale has no length, or the rating lies outside of it.
    """
    worst, best = scale or (-1.0, 1.0)
    if worst == best:
        raise MemoryAssetsError(f"scale ({worst:g}, {best:g}): the worst and the best rating are the same")
    if not min(worst, best) <= rating <= max(worst, best):
        hint = "" if scale is not None else "; name the scale, e.g. scale=(1, 5) for stars"
        raise MemoryAssetsError(f"rating {rating:g} is not between {worst:g} and {best:g}{hint}")
    return round(2 * (rating - worst) / (best - worst) - 1, 6)
