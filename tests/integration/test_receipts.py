"""Receipts of erasures: what they name as pending is done before it is called done, whoever works beside each other."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import dagster as dg
import pytest
import sqlalchemy as sa

from memory_assets.code_location import build_defs
from memory_assets.operations.forget import forget_everywhere, resume
from memory_assets.tools import Tools
from privacy import erasure as erasing
from privacy.erasure import Erasure
from privacy.receipts import SCRUB_AGAIN, Receipts, Work, week_again
from resources import scrub
from resources.keys import Keys
from resources.settings import Settings
from resources.store import InteractionStore
from tests.conftest import MONDAY, message_rows, write_rows
from tests.integration.test_left_behind import filled

WEEKS = [f"{MONDAY + timedelta(weeks=number):%Y-%m-%d}" for number in range(40)]


@pytest.mark.postgres
@pytest.mark.parametrize("again", ["resume", "another erasure"])
def test_a_lock_of_somebody_delays_the_overwriting_and_fails_nothing(
    make_settings: Callable[..., Settings], postgres_url: str, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Whoever only reads a table for long keeps PostgreSQL from writing it anew."""
    tools = filled(make_settings(store_url=postgres_url))
    reader = Tools(tools.settings).store
    with monkeypatch.context() as impatient, reader.engine.connect() as held, held.begin():
        impatient.setattr(scrub, "BLOCKED_S", 0.1)
        impatient.setattr(Erasure.scrub, "__defaults__", (0.2,))
        held.execute(sa.text("LOCK TABLE messages IN ACCESS SHARE MODE"))
        done = Erasure(tools).forget("user", "user-zoe")
    assert done.messages == 6
    assert SCRUB_AGAIN in done.pending
    [receipt] = tools.receipt_book.all()
    assert (receipt["state"], receipt["valid"]) == ("done", True)
    assert SCRUB_AGAIN in receipt["pending"]
    if again == "resume":
        assert resume(tools.settings, lambda *_: None, rebuild=False) == []
    else:
        Erasure(tools).forget("session", "a")
    assert not tools.receipt_book.scrub_pending()
    assert all(row["valid"] for row in tools.receipt_book.all())
    reader.close()
    tools.store.close()


def test_an_erasure_that_ends_while_another_overwrites_is_still_to_be_overwritten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, plain = filled(settings), erasing.scrub_store
    ends: list[str] = []

    def another_ends(store: InteractionStore, patience_s: float) -> bool:
        if ends:
            return False  # somebody reads what was before it
        done = plain(store, patience_s)
        ends.append("session")
        ends.append(Erasure(Tools(settings)).forget("session", "a").receipt)
        return done

    with monkeypatch.context() as met:
        met.setattr(erasing, "scrub_store", another_ends)
        first = Erasure(tools).forget("user", "user-zoe")
    assert SCRUB_AGAIN not in first.pending
    assert tools.receipt_book.scrub_pending() == [ends[1]]
    assert Erasure(tools).scrub()
    assert not tools.receipt_book.scrub_pending()


@pytest.fixture
def two(store: InteractionStore, settings: Settings) -> Iterator[list[Receipts]]:
    """Yield the receipts of one store as two processes have them."""
    other = InteractionStore(store.url.render_as_string(hide_password=False))
    yield [Receipts(one, Keys(settings.home, one)) for one in (store, other)]
    other.close()


def test_what_is_done_beside_each_other_is_all_said(two: list[Receipts]) -> None:
    """Runs, the leak test and whoever overwrites freed pages each take their part of what a receipt names."""
    book = two[0]
    receipt = book.open("user", "hash", Work("user-zoe"))
    pending = [*map(week_again, WEEKS), SCRUB_AGAIN]
    book.close(receipt, {"messages": 3}, pending)
    begin = threading.Barrier(3)

    def work(of: Receipts, *steps: Callable[[Receipts], object]) -> threading.Thread:
        def run() -> None:
            begin.wait()
            for step in steps:
                step(of)

        return threading.Thread(target=run)

    def made(week: str) -> Callable[[Receipts], object]:
        return lambda of: of.fulfil(weeks=[week])

    threads = [
        work(two[0], *map(made, WEEKS[::2])),
        work(two[1], *map(made, WEEKS[1::2])),
        work(two[0], lambda of: of.note(receipt, pending=pending, leaks=0)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [row] = book.all()
    assert (row["pending"], row["leaks"], row["valid"]) == ([SCRUB_AGAIN], 0, True)
    assert two[1].fulfil(scrubbed=[receipt]) == 1
    assert book.all()[0]["pending"] == []


def test_a_week_that_a_run_left_open_is_not_called_made_again(settings: Settings) -> None:
    """A message without vectors is not marked, so that its week is still to be made; one of the system has none."""
    rows = [row for number in range(2) for row in message_rows(2, start=MONDAY + timedelta(weeks=number))]
    for row in rows[:3]:
        row["role"] = "system"
    tools = Tools(settings)
    write_rows(tools.store, [row | {"session_id": f"s{number}"} for number, row in enumerate(rows)])
    book = tools.receipt_book
    receipt = book.open("user", "hash", Work("user-zoe"))
    book.close(receipt, {}, [week_again(week) for week in WEEKS[:3]])
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {"dagster/asset_partition_range_start": WEEKS[0], "dagster/asset_partition_range_end": WEEKS[1]}
        job = build_defs(settings).resolve_job_def("weekly_build")
        chosen = [dg.AssetKey(name) for name in ("raw_interactions", "synced_messages")]
        assert job.execute_in_process(instance=instance, tags=tags, asset_selection=chosen).success
    assert tools.sync.unsynced_weeks() == [WEEKS[1]]
    assert book.weeks_pending() == WEEKS[1:3]
    assert book.all()[0]["valid"]


def test_weeks_that_a_repair_opened_are_named_as_to_be_made_again(settings: Settings) -> None:
    """What the leak test could not search is removed, of other weeks than those of the erased, too."""
    tools = filled(settings)
    write_rows(tools.store, message_rows(2, session="later", start=MONDAY + timedelta(weeks=1)))
    torn = settings.home / "lake" / "facts" / f"{WEEKS[1]}.parquet"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"PAR1 and nothing that can be read")
    done = forget_everywhere(settings, "user", "user-zoe", lambda *_: None, rebuild=False)
    assert not torn.exists()
    assert done.leaks == 0
    assert tools.receipt_book.weeks_pending() == WEEKS[:2]
    [receipt] = tools.receipt_book.all()
    assert receipt["valid"]
    assert sorted(receipt["pending"]) == sorted(done.pending)
