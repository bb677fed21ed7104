"""One user put everywhere where something of hers can be, forgotten, and looked for without the help of the product's own leak test.

    python -m benchmarks.canaries --store postgresql

What is planted is in `benchmarks.canaries_planted`, how it is looked for in `benchmarks.canaries_found`. ``tried``: kinds that were
planted; ``reached``: of these, the ones that were found before (a kind that never gets there is one that the product keeps out);
``left``: found after `memory forget`, when what was under way meanwhile has ended or was killed, and a next command was run;
``left_by_design``: found, as is written down. ``leak_test_finds``: of those reached, the ones that `privacy.leak_test.search` reports when
it is given the string. With ``--reader`` another program reads the store in a transaction that began before and ends after.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.canaries_found import Find, files, find
from benchmarks.canaries_planted import USER, Kind, Planted
from memory_assets.operations.forget import forget_everywhere, resume
from memory_assets.operations.materialize import materialize_weeks
from memory_assets.tools import Tools
from privacy.leak_test import search

POSTGRES = os.environ.get("MEMORY_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a database of its own, dropped afterwards."""
    name = f"canaries_{uuid.uuid4().hex[:8]}"
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield sa.engine.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def looked(planted: Planted) -> tuple[dict[str, list[str]], set[Find]]:
    """Return kind to the places where it stands, and every find that is of no kind."""
    tools = Tools(planted.settings)
    strings = {string for kind in planted.kinds for string in kind.strings}
    with contextlib.closing(tools.store):
        found = find(strings, planted.home, tools, planted.folder / "tmp")
        if any(tools.vault.reveal(key) for key in planted.interactions) if tools.vault is not None else False:
            found.add(("vault!", "revealed"))
    there = {place for place, _ in files(planted.home, planted.folder / "tmp")}
    by = {kind.name: sorted(_of(kind, found, there)) for kind in planted.kinds}
    of_some = {(place, string) for kind in planted.kinds for place, string in found if _is(kind, place, string)}
    return by, found - of_some


def _of(kind: Kind, found: set[Find], there: set[str]) -> set[str]:
    if kind.file:
        return set(fnmatch.filter(there, kind.place))
    return {place for place, string in found if _is(kind, place, string)}


def _is(kind: Kind, place: str, string: str) -> bool:
    return string in kind.strings and any(fnmatch.fnmatch(place, kind.place + end) for end in ("", "!*"))


def told_by_leak_test(planted: Planted, reached: dict[str, list[str]]) -> list[str]:
    """Return the kinds that the product's leak test reports, each looked for by itself."""
    tools, told, found = Tools(planted.settings), [], dict[tuple[str, ...], dict[str, int]]()
    with contextlib.closing(tools.store):
        for kind in planted.kinds:
            places = reached[kind.name]
            if not places or kind.file or kind.unseen:
                continue
            if kind.strings not in found:
                needles = [string.lower() for string in kind.strings]
                found[kind.strings] = search(needles, planted.settings, tools.store, tools.vectors).found
            if any(_same(place, there) for place in places for there in found[kind.strings]):
                told.append(kind.name)
    return told


def _same(place: str, told: str) -> bool:
    """Return whether the leak test names the place: a table of the store, or the folder at the top."""
    if place.startswith("../"):
        return told == "exported"
    if place.startswith("pg."):
        return told == "store.files"
    if place.startswith("store."):
        return told == ".".join(place.split(".")[:2]) or (place.startswith("store.sqlite") and told == place)
    return told == place.replace("vectors.", "vectors/").split("/")[0].partition("!")[0]


@contextlib.contextmanager
def reading(planted: Planted, wanted: bool) -> Iterator[None]:
    """Let another program read the store, if wanted: its transaction sees what was there when it began."""
    if not wanted:
        yield
        return
    engine = sa.create_engine(planted.settings.store_url, isolation_level=None)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN") if engine.dialect.name == "sqlite" else None
        connection.exec_driver_sql("SELECT count(*) FROM messages").scalar()
        yield
    engine.dispose()


def _quiet(*_: object) -> None:
    """Show nothing."""


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--reader", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="canaries-"))
    line: dict[str, Any] = {"benchmark": "canaries", "store": options.store, "reader": options.reader}
    with contextlib.ExitStack() as held:
        url = held.enter_context(database()) if options.store == "postgresql" else ""
        planted = Planted(folder, url)
        held.callback(planted.others.kill)
        planted.plant()
        reached, _ = looked(planted)
        line["tried"] = len(planted.kinds)
        line["reached"] = sum(bool(places) for places in reached.values())
        line["kept_out"] = [name for name, places in reached.items() if not places]
        told = told_by_leak_test(planted, reached)
        searched = [kind.name for kind in planted.kinds if reached[kind.name] and not kind.file and not kind.unseen]
        line["leak_test_finds"] = f"{len(told)} of {len(searched)}"
        line["leak_test_misses"] = [name for name in searched if name not in told]
        line["leak_test_not_asked"] = [kind.name for kind in planted.kinds if kind.unseen]
        with reading(planted, options.reader):
            done = forget_everywhere(planted.settings, "user", USER, _quiet)
            line["said"] = {"leaks": done.leaks, "leaked_to": done.leaked_to, "pending": done.pending}
        line["others_ended"] = planted.others.end()
        resume(planted.settings, _quiet)  # what a reader hindered
        materialize_weeks(planted.settings, [], _quiet)
        left, elsewhere = looked(planted)
        stays = {kind.name for kind in planted.kinds if kind.stays}
        line["left"] = {name: places[:4] for name, places in left.items() if places and name not in stays}
        line["left_by_design"] = {name: places[:4] for name, places in left.items() if places and name in stays}
        known = {*(f"../{name}" for name in planted.given), *(place for name in stays for place in left[name])}
        line["left_elsewhere"] = sorted({place for place, _ in elsewhere} - known)
        line["kinds_left"] = len(line["left"])
    if options.keep:
        print(f"kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
