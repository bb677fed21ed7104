"""Which tables a model reads, from its SQL by sqlglot; remembered by content, because every step of a run asks again."""

import contextlib
import json
import os
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from records.errors import ModelError

DIALECT = "duckdb"
VERSION = "1"


def tables_of(sql: str, where: str) -> list[tuple[str, str, int]]:
    """Return (schema, table, line) of what a select reads; names that its own ``with`` defines are left out.

    Args:
        where: The file's name for error messages.

    Raises:
        ModelError: it cannot be parsed, or is not one select.
    """
    key = blake2b(f"{VERSION}\n{sql}".encode(), digest_size=12).hexdigest()
    remembered = _cache() / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        return [(schema, table, line) for schema, table, line in json.loads(remembered.read_text(encoding="utf-8"))]
    tables = _parse(sql, where)
    with contextlib.suppress(OSError):  # a home that cannot be written costs 100 ms a start, no more
        remembered.parent.mkdir(parents=True, exist_ok=True)
        aside = remembered.with_name(f"{key}.{uuid4().hex[:6]}")
        aside.write_text(json.dumps(tables), encoding="utf-8")
        os.replace(aside, remembered)
    return tables


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "memory-assets" / "sql"


def _parse(sql: str, where: str) -> list[tuple[str, str, int]]:
    import sqlglot
    from sqlglot import exp

    try:
        statements = [s for s in sqlglot.parse(sql, read=DIALECT) if s is not None]
    except sqlglot.errors.ParseError as error:
        found = error.errors[0] if error.errors else {}
        raise ModelError(f"{where}:{found.get('line', 1)}: {found.get('description', 'cannot be parsed')}") from None
    except sqlglot.errors.TokenError as error:
        raise ModelError(f"{where}:1: {str(error).splitlines()[0]}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        kinds = ", ".join(type(s).__name__.lower() for s in statements)
        raise ModelError(f"{where}:1: a model is one select, here are {len(statements)} statements ({kinds})")
    local = {cte.alias for cte in statements[0].find_all(exp.CTE)}
    return [
        (t.db, t.name, _line(sql, t.name))
        for t in statements[0].find_all(exp.Table)
        if t.name and (t.db or t.name not in local)
    ]


def _line(sql: str, word: str) -> int:
    """Return the line on which a table is first named after from or join."""
    for number, line in enumerate(sql.splitlines(), start=1):
        if word in line and any(key in line.lower() for key in ("from", "join")) and not line.lstrip().startswith("--"):
            return number
    return 1
