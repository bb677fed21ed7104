"""Fixtures: installations in temporary folders, both databases, and a fast real embedder for tests that are not about meaning."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from memory_assets.tools import Tools
from resources.settings import Settings, load_settings
from resources.store import InteractionStore

POSTGRES = os.environ.get("MEMORY_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
IN_CI = os.environ.get("CI") is not None
SAMPLE = Path(__file__).parent.parent / "sample"

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tests that run beside each other share the cores: two trainings of two threads each on two cores take four times as long.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // WORKERS, 1)))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Times without offset are of the machine's zone where the settings name none: tests say the same on every machine.
os.environ["TZ"] = "UTC"
time.tzset()

HASHING_EMBEDDER = '''
"""An embedder for tests: words hashed into 64 dimensions, deterministic, without a model."""
from hashlib import blake2b
import numpy as np
from plugins.contracts import Embedder, PluginConfig
from plugins.hookspecs import hookimpl

class Hashing(Embedder):
    class Config(PluginConfig):
        salt: str = ""
        dims: int = 64
    name = "hashing"
    version = "1"
    calls = 0
    @property
    def dim(self):
        return self.config.dims
    def embed(self, texts):
        type(self).calls += len(texts)
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for number, text in enumerate(texts):
            rows[number, 0] = 1e-3
            for word in text.lower().split():
                rows[number, int.from_bytes(blake2b((self.config.salt + word).encode(), digest_size=4).digest(), "big") % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

@hookimpl
def register_plugins():
    return [Hashing]
'''


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from an installation of the person who runs it."""
    monkeypatch.setenv("MEMORY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("MEMORY_CONFIG", raising=False)


def fast_settings(folder: Path, name: str = "home", *, real_embedder: bool = False, **overrides: Any) -> Settings:
    """Return settings for a home under a folder, with the fast embedder unless the real one is asked for."""
    plugins = folder / "test_plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "hashing.py").write_text(HASHING_EMBEDDER, encoding="utf-8")
    given: dict[str, Any] = {"home": folder / name, "plugins_dir": plugins}
    if not real_embedder:
        given["plugins"] = {
            "embedder": {"use": "hashing"},
            "tokens": {"use": "none"},
            "anonymizer": {"use": "patterns"},
        }
    given.update(overrides)
    given["plugins"] = {**given.get("plugins", {}), **overrides.get("plugins", {})}
    os.environ.pop("MEMORY_HOME", None)
    return load_settings(**given)


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Return a maker of settings for a home under the test's folder (see `fast_settings`)."""
    return partial(fast_settings, tmp_path)


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Return settings of a fresh installation."""
    return make_settings()


@pytest.fixture
def tools(settings: Settings) -> Tools:
    """Return the tools of a fresh installation."""
    return Tools(settings)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Yield the URL of a database of its own, dropped afterwards."""
    name = f"memory_test_{uuid.uuid4().hex[:10]}"
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    except sa.exc.OperationalError:
        if IN_CI:
            raise
        pytest.skip("no PostgreSQL server at MEMORY_TEST_POSTGRES_URL")
    yield sa.engine.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InteractionStore]:
    """Yield a migrated store on each database."""
    url = (
        f"sqlite:///{tmp_path / 'store.sqlite'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    made = InteractionStore(url).migrate()
    yield made
    made.close()


THINGS = [
    "bridges",
    "rain",
    "river",
    "museum",
    "markets",
    "hills",
    "trains",
    "bakeries",
    "theatre",
    "harbour",
    "stairs",
]
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)


def message_rows(
    count: int,
    *,
    start: datetime = MONDAY,
    agent: str = "lumi",
    user: str = "user-ana",
    session: str | None = None,
    step: timedelta = timedelta(minutes=1),
) -> list[dict[str, Any]]:
    """Return rows as a source gives them: user and agent in turn, each text of its own."""
    return [
        {
            "line": n + 1,
            "session_id": session or f"{agent}-{user}",
            "agent_id": agent,
            "user_id": user,
            "speaker_id": user if n % 2 == 0 else agent,
            "speaker_name": "Ana" if n % 2 == 0 else agent.capitalize(),
            "role": "user" if n % 2 == 0 else "agent",
            "occurred_at": (start + n * step).isoformat(),
            "text": f"I moved to Bilbao with my dog number {n}"
            if n % 2 == 0
            else f"Bilbao is lovely; tell me about its {THINGS[n % 11]} and the {THINGS[(n // 2 + 3) % 11]}",
        }
        for n in range(count)
    ]


def write_rows(store: InteractionStore, rows: list[dict[str, Any]]) -> int:
    """Normalise and write rows; return the number of new messages."""
    from plugins.contracts import SourceOptions
    from plugins.sources.normalise import normalise

    taken = normalise(rows, SourceOptions(), "test", "test")
    assert taken.rejects.is_empty(), taken.rejects
    return store.write(taken.messages, taken.sessions, taken.speakers, taken.names)


def lake_bytes(settings: Settings) -> dict[str, bytes]:
    """Return every Parquet file of an installation by its relative path."""
    root = settings.home / "lake"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def lance_rows(settings: Settings, kind: str = "message_embeddings") -> pl.DataFrame:
    """Return the rows readers see, with vectors, in key order."""
    lance = Tools(settings).vectors.open(kind)
    assert lance is not None
    frame = pl.DataFrame(lance.search().limit(None).to_arrow())
    return frame.sort(frame.columns[0])


def killed_run(code: str, *arguments: str) -> None:
    """Run some code in a process of its own that kills itself, away from the installation of who runs the tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MEMORY_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def weekly_run(settings: Settings, first: str, last: str | None = None, *, analytics: bool = False) -> Any:
    """Run the weekly assets for a range of weeks in this process."""
    import dagster as dg

    from memory_assets.code_location import build_defs
    from memory_assets.jobs import MEMORY

    with dg.DagsterInstance.ephemeral() as instance:
        defs = build_defs(settings)
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        result = defs.resolve_job_def("weekly_build").execute_in_process(
            instance=instance, tags=tags, raise_on_error=False, asset_selection=[dg.AssetKey(name) for name in MEMORY]
        )
        if analytics:
            done = defs.resolve_job_def("analytics_build").execute_in_process(instance=instance, raise_on_error=False)
            assert done.success
        return result
