"""Migration from LuminoraCore: its messages and what it made of them, how close its personas are to people, and their moods.

Nothing of the old installation is changed, and doing it twice changes nothing: messages are known by their ids, and what has
moved here since (affinity, moods) is newer than what is brought.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from plugins.contracts import SourceOptions
from plugins.sources.memory_systems.luminora_files import files_of, holds_messages, is_folder_of, personas_in
from plugins.sources.memory_systems.luminora_states import Affinity, Mood, states
from plugins.sources.times import parse_time
from serving.capture import Erased, ImportSummary
from serving.client import MemoryClient

LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
"""A mood asked for at this time has not faded, whenever it began."""


@dataclass
class Migrated:
    """What a migration brought.

    Attributes:
        imported: Messages, and facts, episodes and memories as messages of their own.
        affinity: People whose closeness to a persona was set.
        moods: Conversations whose mood was set.
        kept: States that were here already and stayed as they are.
        erased: States left out: their subject was erased here.
        personas: Names of persona files that lie beside.
    """

    imported: ImportSummary
    affinity: int = 0
    moods: int = 0
    kept: int = 0
    erased: int = 0
    personas: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def migrate(
    client: MemoryClient, target: str, *, agent: str | None = None, user: str | None = None, timezone: str = "UTC"
) -> Migrated:
    """Bring what a database, a session file or a folder of LuminoraCore holds.

    Args:
        agent: Whose memory it is, where the files do not say, or say another name.
        user: The person it belongs to, likewise.
        timezone: Of times without offset; LuminoraCore's sessions have UTC ones.

    Raises:
        SourceError: nothing of LuminoraCore is there, or nothing says whose memory it is.
    """
    path = Path(target)
    options = SourceOptions(
        agent=None if agent is None else client.agent_id(agent),
        user=user,
        timezone=timezone,
        first_week=client.settings.first_week,
    )
    found = list(states(path, options))
    done = Migrated(ImportSummary(), personas=personas_in(path))
    _set_states(client, found, options, done)
    spoken = [file for file in files_of(path) if holds_messages(file, options)]
    for file in [path] if spoken and path.is_dir() and is_folder_of(path) else spoken:
        _add(done.imported, client.import_file(str(file), options, format="luminora"))
    done.notes = [note for note in done.imported.notes if "memory migrate" not in note]
    if done.personas:
        where = client.settings.personas_dir or "the folder that the setting personas_dir names"
        done.notes.append(f"{len(done.personas)} personas lie beside: put {', '.join(done.personas)} into {where}")
    return done


def _set_states(client: MemoryClient, found: Iterable[Affinity | Mood], options: SourceOptions, done: Migrated) -> None:
    """Set affinity and moods where there are none yet; the last of several of a pair or a conversation counts."""
    erased = Erased(client.store, client.keys)

    def gone(kind: str, value: str | None) -> bool:
        return value is not None and erased.subject(kind, value) in erased.hashes

    last = {
        (type(state), state.agent, state.user if isinstance(state, Affinity) else state.session): state
        for state in found
    }
    for state in last.values():
        if gone("user", state.user) or (isinstance(state, Mood) and gone("session", state.session)):
            done.erased += 1
        elif isinstance(state, Affinity):
            if client.store.rows("affinity", user_id=state.user, persona_id=state.agent):
                done.kept += 1
            else:
                client.worlds.add_affinity(state.user, state.agent, state.points)
                done.affinity += 1
        elif client.worlds.mood(state.session, state.agent, now=LONG_AGO) is not None:
            done.kept += 1
        else:
            client.worlds.set_mood(state.session, state.agent, state.name, state.intensity, now=_moment(state, options))
            done.moods += 1


def _moment(mood: Mood, options: SourceOptions) -> datetime:
    """Return when a mood began; one whose beginning cannot be read has faded."""
    try:
        return min(parse_time(mood.started, options), options.now)
    except ValueError:
        return LONG_AGO


def _add(total: ImportSummary, part: ImportSummary) -> None:
    total.format = part.format
    for name in ("read", "new", "known", "rejected", "erased"):
        setattr(total, name, getattr(total, name) + getattr(part, name))
    total.weeks |= part.weeks
    for reason, count in part.reasons.items():
        total.reasons[reason] = total.reasons.get(reason, 0) + count
    total.notes += [note for note in part.notes if note not in total.notes]
