"""How what comes in is merged with what is known: statements whose result does not depend on the order of imports."""

from typing import Any

import sqlalchemy as sa


def message_added(insert: Any) -> Any:
    """Return the statement that adds a message, or to a known one what is new: another message that it follows, a later text.

    Then its week is to be made again.
    """
    new, old = insert.excluded, insert.table.c
    edited = sa.and_(new.edited_at.is_not(None), sa.or_(old.edited_at.is_(None), new.edited_at > old.edited_at))
    placed = sa.and_(
        new.follows.is_not(None),
        sa.or_(old.follows.is_(None), sa.not_(old.follows.contains(new.follows))),
    )
    both = sa.case(
        (old.follows.is_(None), new.follows), else_=old.follows.concat(sa.literal_column("' '")).concat(new.follows)
    )
    changes = {
        "follows": sa.case((placed, both), else_=old.follows),
        "text": sa.case((edited, new.text), else_=old.text),
        "edited_at": sa.case((edited, new.edited_at), else_=old.edited_at),
        "synced_at": sa.null(),
    }
    return insert.on_conflict_do_update(index_elements=["message_id"], set_=changes, where=sa.or_(edited, placed))


def merged(name: str, insert: Any, *, sqlite: bool) -> Any:
    """Return the statement that adds or merges sessions, speakers or their names: earliest start, any opt-out, latest name."""
    new, old = insert.excluded, insert.table.c
    changes = {
        "sessions": lambda: _session(new, old, sqlite=sqlite),
        "speakers": lambda: {
            "opt_out_training": sa.or_(old.opt_out_training, new.opt_out_training),
            "kind": sa.case((old.kind < new.kind, old.kind), else_=new.kind),
        },
        "speaker_names": lambda: _name(new, old),
    }[name]()
    keys = [column.name for column in insert.table.primary_key]
    return insert.on_conflict_do_update(index_elements=keys, set_=changes)


def _session(new: Any, old: Any, *, sqlite: bool) -> dict[str, Any]:
    least, greatest = (sa.func.min, sa.func.max) if sqlite else (sa.func.least, sa.func.greatest)
    ended = sa.case(
        (old.ended_at.is_(None), new.ended_at),
        (new.ended_at.is_(None), old.ended_at),
        else_=greatest(old.ended_at, new.ended_at),
    )
    return {
        "opt_out_training": sa.or_(old.opt_out_training, new.opt_out_training),
        "started_at": least(old.started_at, new.started_at),
        "ended_at": ended,
    }


def _name(new: Any, old: Any) -> dict[str, Any]:
    later = sa.or_(new.since > old.since, sa.and_(new.since == old.since, new.display_name < old.display_name))
    return {
        "display_name": sa.case((later, new.display_name), else_=old.display_name),
        "since": sa.case((later, new.since), else_=old.since),
    }
