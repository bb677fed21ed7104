"""Forgetting: nothing is left anywhere, nothing of others is lost, a killed erasure is finished, the receipt is signed."""

import subprocess
import sys
import textwrap
from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa

from memory_assets.operations.forget import forget_everywhere, resume
from memory_assets.operations.plan import out_of_date
from memory_assets.tools import Tools
from model_registry.files import adapter_row, note_training
from privacy.erasure import Erasure
from privacy.leak_test import needles_of, search, without_shared
from privacy.receipts import Receipts
from records.errors import StoreError
from records.ids import text_hash
from records.interactions import AnonymizedInteractions, ScoredInteractions
from resources import vector_erasure
from resources.files import write_frame
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, killed_run, lance_rows, message_rows, weekly_run, write_rows
from tests.integration.test_pipeline import fill, same

WEEKS = ("2025-01-06", "2025-01-13", "2025-01-20")
SECRET = "the quetzal tattoo on my left shoulder"


def group(speakers: tuple[str, ...]) -> list[dict]:
    """Return a conversation of a group, of which these people took part: it belongs to nobody alone."""
    said = {
        "user-ana": "Good evening to all of you, I brought lemon cake from Bilbao",
        "user-zoe": f"Hello everybody, Zoraida Quintana here, want to see {SECRET}?",
        "user-ben": "Cake sounds wonderful, I love lemon and I decided to bake one too",
    }
    rows = []
    for place, (speaker, text) in enumerate(said.items()):
        if speaker in speakers:
            rows += [
                row
                | {
                    "user_id": None,
                    "speaker_id": speaker,
                    "speaker_name": "Zoraida Quintana" if speaker == "user-zoe" else speaker,
                    "text": text,
                    "occurred_at": (MONDAY + timedelta(days=1, minutes=place)).isoformat(),
                }
                for row in message_rows(1, session="party")
            ]
    return rows


def others() -> list[dict]:
    """Return what people other than Zoe said, in three weeks."""
    return [
        row
        for number in range(3)
        for row in message_rows(8, start=MONDAY + timedelta(weeks=number), session=f"a{number}")
    ]


def zoes() -> list[dict]:
    """Return Zoe's own conversation, in the second week."""
    rows = message_rows(8, start=MONDAY + timedelta(weeks=1, hours=5), session="zoe-private", user="user-zoe")
    for number, row in enumerate(rows):
        row["speaker_name"] = "Zoraida Quintana" if row["role"] == "user" else "Lumi"
        if row["role"] == "user":
            row["text"] = f"I showed {SECRET} to my sister Wilhelmina, day {number}"
    return rows


def installed(settings: Settings) -> Settings:
    """Return an installation with everything that may hold something of Zoe."""
    people = ("user-ana", "user-zoe", "user-ben")
    fill(settings, [*others(), *group(people), *zoes()])
    assert weekly_run(settings, WEEKS[0], WEEKS[-1], analytics=True).success
    tools, client = Tools(settings), MemoryClient(settings)
    client.recall("quetzal tattoo", agent="lumi", user="user-zoe")
    client.worlds.add_affinity("user-zoe", "lumi", 5.0)
    client.close()
    tools.memo.put("llm/model/100", {"x": f'{{"quote": "{SECRET}"}}'.encode()})
    tools.store.insert_once(
        "rejects",
        [
            {"reject_id": "r1", "source": "jsonl", "file": "log", "line": 3, "reason": "no text", "raw": '{"user": "user-zoe"}'},
            {"reject_id": "r2", "source": "jsonl", "file": "log", "line": 4, "reason": "no text", "raw": '{"user": "user-ben"}'},
        ],
    )  # fmt: skip
    trained(settings)
    return settings


def trained(settings: Settings) -> str:
    """Make the persona's dataset with the real step, and register an adapter trained on it as deployed."""
    import dagster as dg

    from memory_assets.code_location import build_defs
    from memory_assets.operations.materialize import register_personas

    tools = Tools(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        register_personas(instance, tools)
        job = build_defs(settings).resolve_job_def("train_personality")
        assert job.execute_in_process(
            instance=instance, partition_key="lumi", asset_selection=[dg.AssetKey("personality_dataset")]
        ).success
    dataset = tools.store.rows("datasets")[0]["dataset_id"]
    weights = settings.home / "adapters/ad_1/adapter"
    weights.mkdir(parents=True)
    (weights / "adapter_model.safetensors").write_bytes(b"weights")
    row = adapter_row("ad_1", layer="personality", persona_id="lumi", week=None, base_model="b", dataset_id=dataset, path="adapters/ad_1",
                      config={}, metrics={}, status="deployed")  # fmt: skip
    tools.store.register("adapters", row)
    tools.adapter_book.evaluated("ad_1", {"passed": True, "reasons": []}, passed=True)
    tools.adapter_book.promote("ad_1")
    return dataset


def quiet(*_: object) -> None:
    """Show nothing."""


def test_after_forgetting_a_user_it_is_as_if_they_had_never_come(make_settings) -> None:
    with_zoe = installed(make_settings("with"))
    without = fill(make_settings("without"), [*others(), *group(("user-ana", "user-ben"))])
    assert weekly_run(without, WEEKS[0], WEEKS[-1], analytics=True).success
    erasure = Erasure(Tools(with_zoe))
    needles = without_shared(erasure.needles("user", "user-zoe"), Tools(with_zoe).store)
    before = Erasure(Tools(with_zoe)).needles("user", "user-zoe")
    assert any("quetzal" in needle for needle in before)
    assert needles == []  # what is still stored is not looked for
    assert search(before, with_zoe, erasure.store, erasure.of.vectors).total > 0

    done = forget_everywhere(with_zoe, "user", "user-zoe", quiet)

    assert (done.leaks, done.leaked_to) == (0, {})
    assert done.messages == 9
    assert done.removed["message_embeddings"] == 11  # two of others stood beside hers in the group
    assert done.removed["rejects"] == 1
    assert done.weeks == [WEEKS[0], WEEKS[1]]
    assert done.quarantined == ["ad_1"]
    tools = Tools(with_zoe)
    datasets = list((with_zoe.home / "lake").rglob("*_dataset/*.parquet"))
    for path in datasets:
        path.unlink()
    same(without, with_zoe)
    assert tools.store.rows("adapters")[0]["status"] == "quarantined"
    assert not (with_zoe.home / "adapters/ad_1").exists()
    assert not list((with_zoe.home / "deployed").rglob("*.safetensors"))
    assert not list((with_zoe.home / "datasets").rglob("*.jsonl"))
    assert [row["reject_id"] for row in tools.store.rows("rejects")] == ["r2"]
    assert not tools.store.rows("affinity")
    assert tools.sync.unsynced() == 0
    with tools.warehouse.connect() as connection:
        assert connection.execute("SELECT sum(unsynced) FROM pipeline_health").fetchone() == (0,)
    again = forget_everywhere(with_zoe, "user", "user-zoe", quiet)
    assert (again.messages, again.receipt, again.leaks) == (0, "", None)
    assert len(Receipts(tools.store, tools.keys).all()) == 1


@pytest.mark.parametrize(
    ("kind", "value"), [("session", "zoe-private"), pytest.param("message", None, marks=pytest.mark.thorough)]
)
def test_a_session_and_a_message_can_be_forgotten_alone(make_settings, kind: str, value: str | None) -> None:
    settings = installed(make_settings())
    if value is None:
        said = Tools(settings).store.frame("SELECT message_id, text FROM messages")
        value = said.filter(pl.col("text").str.contains("Zoraida Quintana here"))["message_id"][0]
    done = forget_everywhere(settings, kind, value, quiet)
    assert done.leaks == 0
    assert done.messages == (8 if kind == "session" else 1)
    left = Tools(settings).store.frame("SELECT text FROM messages")["text"].str.contains("quetzal").sum()
    assert left == (1 if kind == "session" else 4)
    # What stands beside it in search is what belongs to the same person.
    assert lance_rows(settings)["window_text"].str.contains("Zoraida Quintana here").sum() == (kind == "session")


KILLED = textwrap.dedent("""
    import os, signal, sys
    from resources.settings import load_settings
    from privacy import unreadable as damaged
    from privacy import erasure
    from privacy import receipts
    from resources import vector_erasure
    step, home, plugins = sys.argv[1:4]
    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
    def dying(owner, name):
        inner = getattr(owner, name)
        def wrapped(*args, **kwargs):
            inner(*args, **kwargs)
            die()
        setattr(owner, name, wrapped)
    if step == "_write_anew":
        dying(vector_erasure, step)
    elif step == "erase":
        dying(damaged, step)
    elif step == "close":
        receipts.Receipts.close = die
    else:
        dying(erasure.Erasure, step)
    from pathlib import Path
    from memory_assets.tools import Tools
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    settings = load_settings(home=Path(home), plugins_dir=Path(plugins), plugins=chosen)
    erasure.Erasure(Tools(settings)).forget("user", "user-zoe")
""")

STEPS = (
    "erase",
    "_from_store",
    *(
        pytest.param(step, marks=pytest.mark.thorough)
        for step in (
            *(
                "_work",
                "_from_lake",
                "_write_anew",
                "_from_bonds",
                "_from_training",
                "_from_analytics",
                "_from_rejects",
            ),
            "close",
        )
    ),
)


ERASED = {"messages": 9, "raw_interactions": 11, "episodes": 2, "message_embeddings": 11, "relationships": 2}
"""Rows that an erasure of Zoe removes, however often it was killed."""


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_erasure_is_finished_by_the_next(make_settings, step: str) -> None:
    settings = installed(make_settings())
    needles = Erasure(Tools(settings)).needles("user", "user-zoe")
    Tools(settings).store.close()
    killed_run(KILLED, step, str(settings.home), str(settings.plugins_dir))
    tools = Tools(settings)
    with pytest.raises(StoreError, match="erased"):
        MemoryClient(settings).remember("me again", agent="lumi", user="user-zoe")
    erasure = Erasure(tools)
    assert [kind for kind, _ in erasure.receipts.unfinished()] == ["user"]
    finished = erasure.forget("user", "user-zoe")
    assert {table: finished.removed.get(table) for table in ERASED} == ERASED
    assert erasure.receipts.unfinished() == []
    assert weekly_run(settings, WEEKS[0], WEEKS[1]).success
    assert erasure.verify(finished, needles, []).total == 0
    assert lance_rows(settings).height == 24 + 2
    assert [(row["state"], row["valid"], row["leaks"]) for row in erasure.receipts.all()] == [("done", True, 0)]


KILLED_LATER = """
import os, signal, sys; from pathlib import Path
from memory_assets.operations import forget as forgetting
from resources import vectors
from resources.settings import load_settings
from privacy import erasure
def dies(*args, **how):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "rebuild":
    vectors.VectorStore.replace_week = dies
else:
    erasure.search = dies
settings = load_settings(home=Path(sys.argv[2]), plugins_dir=Path(sys.argv[3]),
    plugins={"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}})
forgetting.forget_everywhere(settings, "user", "user-zoe", lambda *_: None)
"""


@pytest.mark.parametrize(
    ("moment", "way"),
    [
        ("rebuild", "resume"),
        pytest.param("verify", "asked again", marks=pytest.mark.thorough),
        pytest.param("rebuild", "asked again", marks=pytest.mark.thorough),
        pytest.param("verify", "resume", marks=pytest.mark.thorough),
    ],
)
def test_one_killed_after_it_erased_makes_again_what_is_missing_and_looks_for_leaks(
    make_settings, monkeypatch, moment: str, way: str
) -> None:
    settings = installed(make_settings())
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home / "dagster"))
    (settings.home / "dagster").mkdir(exist_ok=True)
    Tools(settings).store.close()
    killed_run(KILLED_LATER, moment, str(settings.home), str(settings.plugins_dir))
    if way == "resume":
        [finished] = resume(settings, lambda *_: None)
        assert resume(settings, lambda *_: None) == []
    else:
        finished = forget_everywhere(settings, "user", "user-zoe", lambda *_: None)
    assert (finished.leaks, finished.pending) == (0, ["train lumi again"])
    [receipt] = MemoryClient(settings).receipts()
    assert (receipt["state"], receipt["valid"], receipt["leaks"], receipt["pending"]) == (
        "done",
        True,
        0,
        finished.pending,
    )
    assert lance_rows(settings).height == 24 + 2
    assert Tools(settings).sync.unsynced() == 0
    assert not list((settings.home / "keys/erasing").glob("*"))
    assert forget_everywhere(settings, "user", "user-zoe", lambda *_: None).receipt == ""


def test_the_leak_test_finds_what_is_planted(make_settings) -> None:
    settings = installed(make_settings())
    erasure = Erasure(Tools(settings))
    needles = erasure.needles("user", "user-zoe")
    done = erasure.forget("user", "user-zoe")
    assert erasure.verify(done, needles, []).total == 0
    (settings.home / "notes").mkdir()
    (settings.home / "notes/log.txt").write_text(
        f"x{SECRET.upper()}x I SHOWED {SECRET} to my sister Wilhelmina, day 2!"
    )
    pl.DataFrame({"said": [["nothing", "Hello, this is ZORAIDA QUINTANA"]]}).write_parquet(
        settings.home / "lake/stray.parquet"
    )
    Tools(settings).store.set_core_memory("lumi", "friend", "best", "user-zoe")
    leaks = erasure.verify(done, needles, [])
    assert set(leaks.found) == {"notes", "lake", "store.core_memory", "store.sqlite", "store.sqlite-wal"} - (
        {"store.sqlite-wal"} if "store.sqlite-wal" not in leaks.found else {"store.sqlite"} - set(leaks.found)
    )
    assert erasure.receipts.all()[0]["leaks"] == leaks.total
    assert without_shared(needles_of(["I moved to Bilbao with my dog number 2"], ["user-zoe"]), erasure.store) == [
        "user-zoe"
    ]


def test_what_killed_writers_and_trainings_left_is_found_and_goes(make_settings) -> None:
    """A writer's half, a builder's, an import's, a dataset and checkpoints that nobody registered; those of others' trainings stay."""
    settings = installed(make_settings())
    erasure = Erasure(Tools(settings))
    needles, home = erasure.needles("user", "user-zoe"), settings.home
    said = pl.DataFrame({"text": [f"I showed {SECRET} to my sister Wilhelmina, day {n}" for n in range(9)]})
    week = home / "lake/raw_interactions" / f"{WEEKS[1]}.parquet"
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    whole, half, built = (week.with_name(f".{n}.{gone.pid}-1.00000000.aside") for n in ("whole", "half", "built"))
    said.write_parquet(whole, compression="zstd")
    half.write_bytes(whole.read_bytes()[:-40])
    import duckdb

    with duckdb.connect(str(built)) as connection:
        connection.execute("CREATE TABLE said AS SELECT * FROM said")
    message = erasure._messages("user", "user-zoe")["message_id"][0]
    dataset, theirs = home / "datasets/d_unregistered", home / "datasets/d_of_others"
    for folder, source in ((dataset, message), (theirs, "m_of_others")):
        write_frame(folder / "manifest.parquet", pl.DataFrame({"source_message_ids": [[source]]}))
    trained, others_training = home / "adapters/a_killed", home / "adapters/a_of_others"
    note_training(others_training, ["d_of_others"])
    (trained / "checkpoints").mkdir(parents=True)
    (trained / "checkpoints/optimizer.pt").write_text(said["text"][0])
    unpacked = home / "unpacked/of-a-killed-one"
    unpacked.mkdir(parents=True)
    (unpacked / "_chat.txt").write_text(said["text"][0])

    found = search(needles, settings, erasure.store, erasure.of.vectors).found
    assert found["lake"] >= 3  # in the whole one, in the built one, and the half that nobody can search
    assert found["adapters"] >= 1
    done = erasure.forget("user", "user-zoe")
    assert done.removed["unfinished"] == 6
    assert not any(path.exists() for path in (whole, half, built, dataset, trained, unpacked))
    assert theirs.exists()
    assert others_training.exists()
    assert erasure.verify(done, needles, []).total == 0


def test_a_receipt_that_was_changed_is_seen(make_settings) -> None:
    settings = installed(make_settings())
    client = MemoryClient(settings)
    client.forget(session="zoe-private")
    receipt = client.receipts()[0]
    assert (receipt["state"], receipt["valid"], receipt["kind"]) == ("done", True, "session")
    assert "zoe" not in str(receipt)
    table = client.store.meta.tables["receipts"]
    with client.store.writer.begin() as connection:
        connection.execute(sa.update(table).values(removed='{"messages": 1000}'))
    assert not client.receipts()[0]["valid"]


def test_files_of_a_vector_table_are_written_anew_without_losing_a_row(make_settings, monkeypatch) -> None:
    monkeypatch.setattr(vector_erasure, "ROWS_AT_ONCE", 7)
    settings = fill(make_settings(), others())
    assert weekly_run(settings, WEEKS[0], WEEKS[-1]).success
    before = lance_rows(settings)
    vectors = Tools(settings).vectors
    gone = before["message_id"][:2].to_list()
    assert vector_erasure.erase(vectors, "message_embeddings", "message_id", gone) == 2
    assert lance_rows(settings).equals(before[2:])
    lance = vectors.open("message_embeddings")
    assert lance is not None
    folder = vectors.folder / f"{lance.name}.lance"
    assert not list((folder / "_deletions").glob("*"))
    assert len(list((folder / "_versions").glob("*.manifest"))) == 1
    raw = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(key.encode() in raw for key in gone)
    assert vector_erasure.erase(vectors, "message_embeddings", "message_id", gone) == 0
    assert {index.columns[0] for index in lance.list_indices()} >= {"window_text", "agent_id"}


def test_a_vault_reveals_what_surrogates_stand_for_until_it_is_forgotten(make_settings, tmp_path) -> None:
    settings = make_settings(vault=tmp_path / "vault" / "vault.sqlite")
    rows = message_rows(4, session="a") + message_rows(2, session="b", user="user-zoe")
    rows[0]["text"] = "Ana here, write to ana.beltran@gmail.com"
    tools = Tools(settings)
    write_rows(tools.store, rows)
    assert weekly_run(settings, "2025-01-06").success
    clean = tools.lake.read("anonymized_interactions", AnonymizedInteractions, None).collect()
    replaced = [item for key in clean["interaction_id"] for item in Tools(settings).vault.reveal(key)]
    originals = {original for _, original, _ in replaced}
    assert {"Ana", "ana.beltran@gmail.com"} <= originals
    said = "\n".join([*clean["input_text"], *clean["output_text"]])
    assert all(surrogate in said and original not in said for _, original, surrogate in replaced)
    assert settings.vault.stat().st_mode & 0o777 == 0o600
    assert b"beltran" not in settings.vault.read_bytes()
    client = MemoryClient(settings)
    done = client.forget(session="a")
    assert done.removed["vault"] >= 1
    left = [key for key in clean["interaction_id"] if tools.vault.reveal(key)]
    assert all("ana.beltran@gmail.com" not in str(tools.vault.reveal(key)) for key in left)
    (settings.home / "keys" / "vault.key").unlink()
    with pytest.raises(StoreError, match="nothing in the vault can be read"):
        _ = Tools(settings).vault
    client.close()


@pytest.mark.postgres
def test_on_postgresql_forgetting_leaves_nothing_and_the_plan_is_empty_afterwards(make_settings, postgres_url) -> None:
    settings = make_settings(store_url=postgres_url)
    tools = Tools(settings)
    rows = message_rows(6, session="a") + message_rows(
        4, session="z", user="user-zoe", start=MONDAY + timedelta(days=1)
    )
    for row in rows:
        if row["speaker_id"] == "user-zoe":
            row.update(speaker_name="Zoraida Quintana", text=f"Zoraida here with {SECRET} {row['line']}")
    write_rows(tools.store, rows)
    assert weekly_run(settings, WEEKS[0], analytics=True).success
    assert out_of_date(Tools(settings)) == {}
    done = forget_everywhere(settings, "user", "user-zoe", lambda *_: None)
    assert (done.messages, done.leaks) == (4, 0)
    assert tools.store.scalar(sa.select(sa.func.count()).select_from(tools.store.meta.tables["messages"])) == 6
    assert out_of_date(Tools(settings)) == {}
    tools.store.close()


def test_what_the_anonymizer_remembers_of_erased_texts_goes_and_the_rest_stays(make_settings) -> None:
    chosen = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "detectors"}}
    settings = make_settings(plugins=chosen)
    tools = Tools(settings)
    others = message_rows(4, session="b", agent="mira", user="user-ben")
    for row in others:
        row["text"] += " with Oyelaran"
    write_rows(tools.store, message_rows(6, session="a") + others)
    assert weekly_run(settings, WEEKS[0]).success
    reader = tools.plugin("anonymizer").fingerprint
    scored = tools.lake.read("scored_interactions", ScoredInteractions, None).collect()

    def remembered(session: str) -> set[str]:
        texts = scored.filter(pl.col("session_id") == session).select("input_text", "output_text").unpivot()["value"]
        return set(tools.memo.known(reader, [text_hash(text) for text in texts]))

    assert remembered("a")
    before = remembered("b")
    MemoryClient(settings).forget(session="a")
    assert remembered("a") == set()
    assert remembered("b") == before != set()
