"""Where things of one user are put before she is forgotten: by imports, remembering, failing and killed runs, trainings and exports."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import polars as pl

from benchmarks.canaries_loud import LOUD
from benchmarks.canaries_others import Others
from benchmarks.erasure import HASHING
from memory_assets.operations.materialize import made_here, materialize_weeks, register_personas, train_slot
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from plugins.contracts import SourceOptions
from privacy.erasure import Erasure
from records.errors import MemoryAssetsError
from resources.settings import PluginChoice, Settings, load_settings
from serving.client import MemoryClient

USER, FIRST_NAME, OTHER_NAME = "user-quoz17", "Zoráida Quozpérez", "Quozita Veléz"
SESSION, TOWN, WORD = "session-quoz17", "Quóztown", "quózwort"
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
WEEKS = ("2025-01-06", "2025-01-13", "2025-01-20")

TOML = """
home = "{home}"
plugins_dir = "{folder}/plugins"
store_url = "{store}"
vault = "{home}/vault.sqlite"

[plugins]
embedder = {{use = "bench-hashing"}}
tokens = {{use = "none"}}
scorer = {{use = "loud"}}
emotion = {{use = "loud"}}
facts = {{use = "loud"}}
anonymizer = {{use = "loud"}}
trainer = {{use = "loud"}}

[dataset]
min_quality = 0.0
eval_share = 0.3
max_user_share = 1.0
"""


@dataclass(frozen=True)
class Kind:
    """A kind of canary.

    Attributes:
        place: Pattern of where it is put, see `benchmarks.canaries_found`; None: only whether it is anywhere.
        strings: Any of them there is the canary.
        file: Instead of strings: pattern of a file that nobody can search, so that it must be gone.
        unseen: The leak test does not look there: outside of the installation, among its keys, or no text stands there.
        stays: It is left, as is written down: the receipt names it, or a person gave it as a setting.
    """

    name: str
    place: str
    strings: tuple[str, ...] = ()
    file: bool = False
    unseen: bool = False
    stays: bool = False


class Planted:
    """An installation in a folder, and what of the user was put where."""

    def __init__(self, folder: Path, store_url: str = "") -> None:
        self.folder, self.home = folder, folder / "home"
        (folder / "plugins").mkdir(parents=True)
        (folder / "tmp").mkdir()
        (folder / "plugins/hashing.py").write_text(HASHING, encoding="utf-8")
        (folder / "plugins/loud.py").write_text(LOUD, encoding="utf-8")
        store = store_url or f"sqlite:///{self.home}/store.sqlite"
        toml = TOML.format(home=self.home, folder=folder, store=store)
        (folder / "memory.toml").write_text(toml, encoding="utf-8")
        os.environ["MEMORY_CONFIG"] = str(folder / "memory.toml")
        os.environ["DAGSTER_HOME"] = str(self.home / "dagster")
        (self.home / "dagster").mkdir(parents=True)
        shutil.copy(Path(__file__).parents[1] / "dagster.yaml", self.home / "dagster/dagster.yaml")
        self.settings: Settings = load_settings()
        self.kinds: list[Kind] = []
        self.given: list[str] = []
        self.others = Others(folder)

    def plant(self) -> "Planted":
        """Put everything everywhere."""
        for part in (
            self._said, self._runs_that_fail, self._made, self._made_again, self._in_the_store, self._trained, self._exported,
            self._left_by_killed, self._begun, self._under_way,
        ):  # fmt: skip
            part()
            print(f"planted: {part.__name__[1:]}", file=sys.stderr, flush=True)
        return self

    def kind(self, name: str, place: str, *strings: str, **more: bool) -> None:
        """Take down a kind."""
        self.kinds.append(Kind(name, place, strings, **more))

    # -- what she said --------------------------------------------------------------------------------------------

    def _said(self) -> None:
        client = MemoryClient(self.settings)
        client.start_session("lumi", USER, session=SESSION, metadata={"note": "quózsessmeta"})
        client.start_session("lumi", USER, session="party", metadata={"note": "quózsharedmeta"})
        for path in (self._talks(), self._chat(), self._unreadable()):
            options = SourceOptions(agent="Lumi", user=USER, day_first=False) if path.suffix == ".txt" else None
            client.import_file(str(path), options)
            self.given.append(path.name)
        asked, answered = client.remember_exchange(
            f"Do you know my {WORD} tattoo?", f"The {WORD} tattoo, I do", agent="lumi", user=USER, session=SESSION,
            input_emotion="quózmood", location="quózplace", model_version="quózmodel", metadata={"channel": "quózmeta"},
            speaker_name=FIRST_NAME, occurred_at=MONDAY + timedelta(weeks=1, hours=9),
        )  # fmt: skip
        self.messages = (asked, answered)
        client.feedback(answered, correction="Rather say quózcorrection")
        hers = "SELECT message_id, session_id FROM messages WHERE user_id = ? OR speaker_id = ?"
        rows = client.store.frame(hers, [USER, USER])
        client.close()
        self.own = tuple(rows["message_id"])
        chats = sorted({one for one in rows["session_id"] if one.startswith("whatsapp/")})
        self._kinds_of_messages(answered, chats)
        self._kinds_of_rejects()

    def _talks(self) -> Path:
        """Write three weeks of talks of three people, hers in each, and a party at which all three speak at one time."""
        rows = []
        for week in range(3):
            start = MONDAY + timedelta(weeks=week)
            garden, bread = "I love my garden and the old bridge", "I decided to learn how to bake bread"
            rows += self._talk(f"ana-{week}", "user-ana", "Ana Beltran", "lumi", start, garden)
            rows += self._talk(f"ben-{week}", "user-ben", "Ben Okafor", "mira", start, bread)
            session = SESSION if week == 1 else f"{SESSION}-{week}"
            sad = f"My grandmother passed away, I cried all night, I'm so sad and alone {WORD}. I moved to {TOWN}"
            rows += self._talk(session, USER, FIRST_NAME, "lumi", start + timedelta(hours=3), sad)
        secret = f"I secretly dance the {WORD}"
        rows += self._talk("with-mira", USER, OTHER_NAME, "mira", MONDAY + timedelta(days=1), secret)
        return self._lines("first.jsonl", [*rows, *self._party()])

    def _party(self) -> Iterator[dict[str, Any]]:
        people = {USER: FIRST_NAME, "user-ana": "Ana Beltran", "user-ben": "Ben Okafor"}
        at = MONDAY + timedelta(days=2)  # all at one time: each follows the one before
        for place, (who, name) in enumerate(people.items()):
            said = f"Cheers from the {WORD} side" if who == USER else "Cheers and cake for everybody"
            row = self._row("party", None, who, name, "user", at, f"{said} {place}") | {"participants": list(people)}
            yield row | ({"source_ref": "quózref"} if who == USER else {})

    def _chat(self) -> Path:
        """Write a chat whose file is named after her, with a text that PostgreSQL keeps apart from its row."""
        long = " ".join(uuid4().hex for _ in range(400))
        said = ((FIRST_NAME, f"A long {WORD} {long}"), ("Lumi", "I am listening"), (FIRST_NAME, f"so {WORD}"))
        lines = [f"1/{day}/25, 10:0{day} - {name}: {text}\n" for day, (name, text) in enumerate(said, 7)]
        path = self.folder / f"WhatsApp Chat with {FIRST_NAME}.txt"
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def _unreadable(self) -> Path:
        """Write lines that become rejects, each naming her in another way."""
        lines: list[dict[str, Any]] = [
            {"user_id": USER, "text": "", "agent_id": "lumi"},
            {"session_id": SESSION, "agent_id": "lumi", "text": None},
            {"speaker_name": FIRST_NAME, "agent_id": "lumi"},
            {"agent_id": "lumi", "text": f"unreadable {WORD} of", "occurred_at": "no time at all"},
        ]
        return self._lines(f"{FIRST_NAME}.jsonl", lines)

    def _lines(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.folder / name
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    def _kinds_of_messages(self, answered: str, chats: list[str]) -> None:
        for column, string in (
            ("text", WORD), ("metadata", "quózmeta"), ("location", "quózplace"), ("emotion", "quózmood"), ("model_version", "quózmodel"),
            ("participants", USER), ("user_id", USER), ("speaker_id", USER), ("session_id", SESSION), ("message_id", answered),
        ):  # fmt: skip
            self.kind(f"message: {column}", f"store.messages.{column}", string)
        self.kind("message of somebody else that follows hers", "store.messages.follows", *self.own)
        self.kind("message: reference to its file", "store.messages.source_ref", "quózref")
        self.kind("session: id", "store.sessions.session_id", SESSION)
        self.kind("session: id made of a chat's file name", "store.sessions.session_id", *chats)
        self.kind("session: its person", "store.sessions.user_id", USER)
        self.kind("session: metadata", "store.sessions.metadata", "quózsessmeta")
        self.kind("session of others, too: metadata", "store.sessions.metadata", "quózsharedmeta")
        self.kind("name to one agent", "store.speaker_names.display_name", FIRST_NAME)
        self.kind("name to another agent", "store.speaker_names.display_name", OTHER_NAME)
        self.kind("speaker", "store.speakers.speaker_id", USER)
        self.kind("feedback: correction", "store.feedback.correction", "quózcorrection")

    def _kinds_of_rejects(self) -> None:
        self.kind("reject: her id in the line", "store.rejects.raw", USER)
        self.kind("reject: her session in the line", "store.rejects.raw", SESSION)
        self.kind("reject: her name in the line", "store.rejects.raw", FIRST_NAME)
        self.kind("reject: what she said in the line", "store.rejects.raw", WORD)
        self.kind("reject: her name in the file's name", "store.rejects.file", FIRST_NAME)

    @staticmethod
    def _row(
        session: str, user: str | None, speaker: str, name: str, role: str, at: datetime, text: str
    ) -> dict[str, Any]:
        return {
            "session_id": session, "agent_id": "lumi", "user_id": user, "speaker_id": speaker, "speaker_name": name, "role": role,
            "occurred_at": at.isoformat(), "text": text,
        }  # fmt: skip

    def _talk(self, session: str, user: str, name: str, agent: str, start: datetime, said: str) -> list[dict[str, Any]]:
        rows = []
        for place in range(6):
            at = start + timedelta(minutes=place)
            if place % 2 == 0:
                row = self._row(session, user, user, name, "user", at, f"{said} number {place} of {session}")
            else:
                told = f"Tell me about the river and the {place} hills of {session[-6:]}"
                row = self._row(session, user, agent, agent.capitalize(), "agent", at, told)
            rows.append(row | {"agent_id": agent})
        return rows

    # -- what is made of it ---------------------------------------------------------------------------------------

    def _runs_that_fail(self) -> None:
        # The plugins that are given texts while a week is made, see `benchmarks.canaries_loud`; the run fails, as it should.
        for what in ("scorer", "emotion", "facts", "anonymizer"):
            with _environment(LOUD_AT=what), contextlib.suppress(MemoryAssetsError):
                materialize_weeks(self.settings, [WEEKS[1]], _quiet)
            self.kind(f"error that quotes: {what}", "errors/*", f"quóz{what}")
            self.kind(f"Dagster's word of it: {what}", "dagster/*", f"quóz{what}")
        # A plugin raises what it likes, here a KeyError: what comes of it in the import is not what is looked at.
        with _environment(LOUD_AT="source"), contextlib.suppress(Exception):
            MemoryClient(self.settings).import_file(str(self.folder / "first.jsonl"), format="loud")
        self.kind("error that quotes: source", "*", "quózsource")

    def _made(self) -> None:
        materialize_weeks(self.settings, list(WEEKS), _quiet)

    def _made_again(self) -> None:
        """Make it again with another word of hers: versions of tables and of analytics stay behind; then with another embedder."""
        client = MemoryClient(self.settings)
        client.remember(
            f"Another {WORD} came by",
            agent="lumi",
            user=USER,
            session=SESSION,
            occurred_at=MONDAY + timedelta(weeks=1, hours=10),
        )
        client.recall(f"{WORD}", agent="lumi", user=USER)
        client.close()
        materialize_weeks(self.settings, [WEEKS[1]], _quiet)
        chosen = {**self.settings.plugins, "embedder": PluginChoice(use="loud")}
        other = self.settings.model_copy(update={"plugins": chosen})
        # One week of three: the table lies beside the one that is read, and a check may say that weeks are missing.
        with contextlib.suppress(MemoryAssetsError):
            materialize_weeks(other, [WEEKS[1]], _quiet)
        materialize_weeks(self.settings, [WEEKS[1]], _quiet)
        tools = Tools(self.settings)
        with contextlib.closing(tools.store):
            tools.memo.put("llm/model/100", {"answer": f'{{"quote": "{WORD}"}}'.encode()})
            self.episodes = tuple(self._made_of_hers(tools, "episodes"))
            self.interactions = self._made_of_hers(tools, "scored_interactions")
            facts = self._made_of_hers(tools, "facts")
            pseudonyms = [tools.keys.pseudonym(kind, value) for kind, value in (("user", USER), ("session", SESSION))]
        # Those whose rows lead to messages by what was said in them or by their ids; then those that do by what is known of her.
        for asset in (
            "raw_interactions",
            "scored_interactions",
            "anonymized_interactions",
            "episodes",
            "consolidated_episodes",
        ):
            self.kind(f"lake: {asset}", f"lake/{asset}/*", WORD, *self.own)
        for asset in ("facts", "fact_history"):
            self.kind(f"lake: {asset}", f"lake/{asset}/*", TOWN)
        self.kind("lake: memory_strength", "lake/memory_strength/*", *self.episodes)
        self.kind("lake: relationships", "lake/relationships/*", USER)
        for table, strings in (("message", (WORD,)), ("fact", (TOWN,)), ("episode", self.episodes)):
            self.kind(f"vectors: {table}s", f"vectors.{table}_embeddings__*@now", *strings)
            self.kind(f"vectors: old version of {table}s", f"vectors.{table}_embeddings__*@[0-9]*", *strings)
        self.kind("vectors: table of another embedder", "vectors.*@other", WORD)
        self.kind("vectors: index of words and ids", "vectors/*/_indices/*", USER, WORD)
        self.kind("analytics", "analytics.duckdb!*", *pseudonyms)
        self.kind("analytics: kept version", "analytics.[0-9].duckdb!*", *pseudonyms)
        self.kind("memo of a language model's answers", "memo.sqlite*", WORD)
        self.kind("vault", "vault!", "revealed", unseen=True)
        self.kind("output of a step", "dagster/storage/*/compute_logs/*.out", "quózprinted")
        self.kind("errors of a step", "dagster/storage/*/compute_logs/*.err", "quózcomplained")
        self.kind(
            "ids and names in Dagster's databases", "dagster/history/*", *facts, *self.own, TOWN, USER, FIRST_NAME
        )

    def _made_of_hers(self, tools: Tools, asset: str) -> list[str]:
        """Return the keys of what was made of her messages."""
        record = LAKE_RECORDS[asset]
        hers = pl.col("source_message_ids").list.eval(pl.element().is_in(list(self.own))).list.any()
        return tools.lake.read(asset, record).filter(hers).collect()[record.primary_key()[0]].to_list()

    def _in_the_store(self) -> None:
        client = MemoryClient(self.settings)
        store = client.store
        client.worlds.add_affinity(USER, "lumi", 5.0)
        client.worlds.set_mood(SESSION, "lumi", "content", 0.9)
        client.worlds.share(self.episodes[0], by="lumi", with_agent="mira")
        store.set_core_memory("lumi", "friend", "best", f"{FIRST_NAME}, whom I adore")
        store.set_core_memory("lumi", "friend", "owner", f"belongs to {USER}", is_mutable=False)
        store.set_core_memory("mira", "friend", OTHER_NAME, "is a friend")
        client.recall("tattoo", agent="lumi", user=USER)
        client.close()
        self.kind("affinity", "store.affinity.user_id", USER)
        self.kind("mood", "store.moods.session_id", SESSION)
        self.kind("shared memory", "store.shared_memories.memory_id", *self.episodes)
        self.kind("recalled", "store.recalled.memory_id", *self.own, *self.episodes)
        self.kind("core memory: value that names her", "store.core_memory.value", FIRST_NAME)
        self.kind("core memory that cannot be changed", "store.core_memory.value", USER)
        self.kind("core memory: key that names her", "store.core_memory.key", OTHER_NAME)
        if not store.is_sqlite:
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE")  # as PostgreSQL does by itself from time to time
            for kind, place in (
                ("heap", "pg.heap.*"),
                ("index", "pg.index.*"),
                ("rows kept apart", "pg.toast.*"),
                ("statistics", "pg.*.pg_statistic*"),
            ):
                self.kind(f"PostgreSQL's files: {kind}", place, WORD, USER, SESSION, FIRST_NAME, *self.own[:5])
            return
        # Somebody's own tool, which does not overwrite what it deletes.
        with contextlib.closing(sqlite3.connect(self.home / "store.sqlite", isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("CREATE TABLE passing (said TEXT)")
            connection.executemany("INSERT INTO passing VALUES (?)", [(f"quózfreed {n} " * 50,) for n in range(50)])
            connection.execute("DROP TABLE passing")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self.kind("SQLite: freed pages", "store.sqlite", "quózfreed")
        self.kind("SQLite: file", "store.sqlite", WORD)
        self.kind("SQLite: log", "store.sqlite-wal", WORD, USER, "quózfreed")

    # -- what is trained on and goes out --------------------------------------------------------------------------

    def _trained(self) -> None:
        import dagster as dg

        from memory_assets.instances import instance
        from memory_assets.layers import LAYERS, Slot
        from memory_assets.operations.evaluation import others_held_out
        from memory_assets.operations.materialize import definitions_for
        from model_registry.files import adapter_row

        tools = Tools(self.settings)
        defs = definitions_for(self.settings)
        with instance(self.settings) as dagster:
            register_personas(dagster, tools)
            for slot in (Slot("personality", "lumi"), Slot("episodic", "lumi", week=WEEKS[1])):
                layer = LAYERS[slot.layer]
                made_here(
                    dagster, defs.resolve_job_def(f"train_{layer.name}"), partition_key=layer.key(slot),
                    asset_selection=[dg.AssetKey(layer.dataset)],
                )  # fmt: skip
        dataset = tools.store.rows("datasets", kind="personality")[0]
        weights = self.home / "adapters/ad_1/adapter"
        weights.mkdir(parents=True)
        (weights / "adapter_model.safetensors").write_bytes(f"weights that know {WORD}".encode())
        for adapter, persona in (("ad_1", "lumi"), ("ad_mira", "mira")):
            row = adapter_row(adapter, layer="personality", persona_id=persona, week=None, base_model="b",
                              dataset_id=dataset["dataset_id"] if persona == "lumi" else "d_mira", path=f"adapters/{adapter}",
                              config={}, metrics={}, status="candidate")  # fmt: skip
            tools.store.register("adapters", row)
        tools.adapter_book.evaluated("ad_1", {"passed": True, "reasons": []}, passed=True)
        tools.adapter_book.promote("ad_1")
        (self.home / "adapters/ad_mira").mkdir()
        # As an evaluation that was killed leaves it.
        self._said_in(others_held_out(tools, "mira", self.home / "adapters/ad_mira"))
        tools.store.close()
        slot = Slot("skill", "lumi", skill="dance")
        with contextlib.suppress(MemoryAssetsError):  # its trainer kills itself: checkpoints stay
            train_slot(self.settings, slot, _quiet, {"words": [WORD]})
        for asset in ("personality_dataset", "episodic_dataset", "skill_dataset"):
            self.kind(f"lake: {asset}", f"lake/{asset}/*", WORD, *self.own)
        self.kind("dataset: lines", "datasets/*/train.jsonl", WORD)
        self.kind("dataset: held-out lines", "datasets/*/eval.jsonl", WORD)
        self.kind("dataset: manifest", "datasets/*/manifest.parquet!*", *self.own)
        self.kind("adapter: weights", "adapters/ad_1/*", WORD)
        self.kind("adapter: deployed weights", "deployed/*", WORD)
        self.kind("checkpoint of a killed training", "adapters/*/checkpoints/*", WORD)
        self.kind("another persona's adapter: file of a killed evaluation", "adapters/ad_mira/*", WORD)
        self.kind("run's configuration: the words of a skill", "dagster/*", WORD, stays=True)

    @staticmethod
    def _said_in(path: Path) -> None:
        """Let a file of held-out lines have one of hers: which are held out is drawn with the installation's keys."""
        if WORD not in path.read_text(encoding="utf-8"):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"messages": [{"role": "user", "content": f"held out {WORD}"}]}) + "\n")

    def _exported(self) -> None:
        import cli

        for name in ("in-place", "moved", f"for {FIRST_NAME}"):
            with contextlib.redirect_stdout(None):
                cli.app(
                    ["export", str(self.folder / f"{name}.jsonl"), "-a", "lumi", "--split", "all", "--json"],
                    standalone_mode=False,
                )
        (self.folder / "moved.jsonl").rename(self.folder / "elsewhere.jsonl")
        self.kind("export: file", "../in-place.jsonl", WORD)
        self.kind("export: registered path that names her", "store.exports.path", FIRST_NAME)
        self.kind("export: manifest", "exports/*.parquet!*", *self.own)
        self.kind("export: moved (the receipt names it)", "../elsewhere.jsonl", WORD, unseen=True, stays=True)

    # -- what killed processes leave ------------------------------------------------------------------------------

    def _left_by_killed(self) -> None:
        gone = subprocess.Popen([sys.executable, "-c", "pass"])
        gone.wait()

        def aside(path: Path) -> Path:
            return path.with_name(f".{path.name}.{gone.pid}-1.{uuid4().hex[:8]}.aside")

        dataset = next(self.home.glob("datasets/*/train.jsonl"))
        manifest = next(self.home.glob("exports/*.parquet"))
        for name, path in (
            ("lake", self.home / f"lake/raw_interactions/{WEEKS[1]}.parquet"),
            ("dataset", dataset),
            ("export's manifest", manifest),
            ("analytics", self.home / "analytics.duckdb"),
        ):
            other = aside(path)
            shutil.copy(path, other)
            self.kind(f"left by a killed writer: {name}", str(other.relative_to(self.home)), file=True)
        half = aside(self.home / f"lake/facts/{WEEKS[1]}.parquet")
        half.write_bytes((self.home / f"lake/facts/{WEEKS[1]}.parquet").read_bytes()[:-40])
        self.kind("left by a killed writer: a half", str(half.relative_to(self.home)), file=True)
        outside = aside(self.folder / "in-place.jsonl")
        shutil.copy(self.folder / "in-place.jsonl", outside)
        self.kind("left by a killed export, beside its file", "../.in-place.jsonl.*.aside", file=True)
        other = self.home / "datasets/d_killed"
        shutil.copytree(dataset.parent, other)
        self.kind("dataset that a killed run did not register", "datasets/d_killed/*", WORD, *self.own)
        table = next((self.home / "vectors").glob("message_embeddings__*.lance/data"))
        killed = table / f"{uuid4().hex}.lance"
        shutil.copy(next(table.glob("*.lance")), killed)
        self.kind("vectors: file of a commit that was killed", str(killed.relative_to(self.home)), file=True)
        with zipfile.ZipFile(self.folder / "chat.zip", "w") as archive:
            archive.writestr("loud.txt", f"{FIRST_NAME}: a {WORD} in an archive")
        self.given.append("chat.zip")
        self.others.start("import", "kill").wait()
        self.kind("killed import: among the system's temporary files", "temp/*", WORD)

    def _begun(self) -> None:
        """Begin an erasure of one of her sessions, killed after it wrote down what is to be done."""
        tools = Tools(self.settings)
        erasure = Erasure(tools)
        erasure.seek("session", SESSION)
        # What it does next; no Exception, so that nothing on the way takes it for a failure, as nothing does a kill.
        with mock.patch("privacy.erasure.sweep_asides", side_effect=_Killed), contextlib.suppress(_Killed):
            erasure.forget("session", SESSION)
        tools.store.close()
        self.kind("erasure that was begun: its work", "store.receipts.work", SESSION)
        self.kind("erasure that was begun: what it looks for", "keys/erasing/*", WORD, unseen=True)

    # -- what is under way while she is forgotten -----------------------------------------------------------------

    def _under_way(self) -> None:
        """Begin two runs, a training and an import that have read what she said, and wait (see `benchmarks.canaries_others`)."""
        for what, where in (("run", "scorer"), ("killed run", "scorer"), ("train", "trainer"), ("import", "source")):
            self.others.start(what, f"wait-{where}")
        self.others.waiting()
        for path in self.home.glob("datasets/*/eval.jsonl"):  # when nobody writes them any more
            self._said_in(path)
        self.kind("run under way: its output", "dagster/storage/*/compute_logs/*.out", "quózwaits")
        self.kind("run under way: its output after the erasure", "dagster/storage/*/compute_logs/*.out", "quózwaited")
        self.kind("training under way: checkpoint", "adapters/*/checkpoint-1/*", WORD)
        self.kind("training under way: checkpoint after the erasure", "adapters/*/checkpoint-2/*", WORD)
        self.kind("import under way: what it unpacked", "unpacked/*", WORD)


class _Killed(BaseException):
    """What stands for a kill."""


def _quiet(*_: object) -> None:
    """Show nothing."""


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
