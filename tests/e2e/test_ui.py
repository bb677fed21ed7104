"""End to end: `memory ui` for real, a week materialized as the UI does it, the asset page opened in a browser."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from memory_assets.tools import Tools
from tests.conftest import IN_CI, SAMPLE

ROOT = Path(__file__).parents[2]
WEEK = "2025-09-01"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
STATUS = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOCATION = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
    __typename ... on RepositoryLocation { repositories { name } } } } } } }"""
SENSOR = """
mutation Dry($selector: SensorSelector!) {
  sensorDryRun(selectorData: $selector, cursor: null) {
    ... on DryRunInstigationTick { evaluationResult { skipReason } }
  }
}"""


@pytest.fixture
def webserver(make_settings, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the address of `memory ui` on an installation with the sample's companion and world, and its settings."""
    from serving.client import MemoryClient

    settings = make_settings("ui")
    memory = MemoryClient(settings)
    memory.import_file(str(SAMPLE / "companion.jsonl"))
    memory.import_file(str(SAMPLE / "world.jsonl"))
    memory.close()
    config = tmp_path / "memory.toml"
    config.write_text(
        f'home = "{settings.home}"\nplugins_dir = "{settings.plugins_dir}"\n[plugins.embedder]\nuse = "hashing"\n'
    )
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MEMORY_")}
    with (tmp_path / "dev.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "cli", "ui", "--port", str(port)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**environment, "MEMORY_CONFIG": str(config), "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: loaded(address), 120, tmp_path / "dev.log")
        yield address, settings
    finally:
        os.killpg(server.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def wait_for(condition: Any, seconds: float, log: Path) -> Any:
    """Return the first true value of a condition, asked twice a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        subprocess.run(["sleep", "0.5"], check=True)
    raise AssertionError(f"waited {seconds} s; log: {log.read_text()[-1500:]}")


def ask(address: str, query: str, **variables: Any) -> Any:
    """Return the data of a GraphQL query."""
    answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def loaded(address: str) -> bool:
    """Return whether the code location is there."""
    try:
        entries = ask(address, LOCATION)["workspaceOrError"]["locationEntries"]
    except httpx.HTTPError:
        return False
    if not entries or entries[0]["loadStatus"] != "LOADED":
        return False
    assert entries[0]["locationOrLoadError"]["__typename"] == "RepositoryLocation", entries
    return True


def repository(address: str) -> dict[str, str]:
    """Return the names under which the code location is known."""
    entry = ask(address, LOCATION)["workspaceOrError"]["locationEntries"][0]
    return {
        "repositoryLocationName": entry["name"],
        "repositoryName": entry["locationOrLoadError"]["repositories"][0]["name"],
    }


def materialize(address: str, log: Path) -> None:
    """Launch the weekly build of a week as the UI's dialog does, and wait for its end."""
    selector = {**repository(address), "pipelineName": "weekly_build"}
    launched = ask(
        address,
        LAUNCH,
        params={
            "selector": selector,
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": WEEK}]},
        },
    )["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]
    final = wait_for(
        lambda: (s := ask(address, STATUS, id=run)["runOrError"]["status"]) in ("SUCCESS", "FAILURE", "CANCELED") and s,
        400,
        log,
    )
    assert final == "SUCCESS"


@pytest.mark.browser
@pytest.mark.slow
def test_a_week_is_materialized_and_seen_in_the_browser(webserver: tuple[str, Any], tmp_path: Path) -> None:
    if CHROMIUM is None:
        assert not IN_CI, "CI installs chromium"
        pytest.skip("no chromium on this machine")
    address, settings = webserver
    sensor = {**repository(address), "sensorName": "unsynced_messages_sensor"}
    evaluated = ask(address, SENSOR, selector=sensor)["sensorDryRun"]["evaluationResult"]
    assert evaluated["skipReason"] is None  # both pairs are beyond 25: it would start runs
    materialize(address, tmp_path / "dev.log")
    assert len(Tools(settings).sync.unsynced_weeks()) == 8
    with Tools(settings).warehouse.connect() as connection:
        assert connection.execute("SELECT count(*) FROM agent_quality").fetchone()[0] > 0

    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{address}/assets/scored_interactions?view=partitions&partition={WEEK}")
        page.get_by_text("emotions_by_week").first.wait_for(timeout=90_000)
        seen = page.locator("body").inner_text()
        for metadata in ("mean_quality", "quality", "topics", "content_hash"):
            assert metadata in seen
        page.get_by_text("[Show Markdown]").nth(1).click()
        page.locator("img[src^='data:image/png']").first.wait_for(timeout=30_000)
        page.screenshot(path=str(tmp_path / "asset-page.png"))
        page.goto(f"{address}/assets/scored_interactions?view=checks")
        page.get_by_text("schema").first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "asset-checks.png"))
        groups = ("capture", "quality", "privacy", "memory", "embeddings", "training", "sync")
        expanded = quote(",".join(f"global@global:{group}" for group in groups))
        page.set_viewport_size({"width": 2100, "height": 1560})
        page.goto(f"{address}/asset-groups?expanded={expanded}")
        page.get_by_text("episode_embeddings").first.wait_for(timeout=90_000)
        page.get_by_text("analytics_marts").first.wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(tmp_path / "asset-graph.png"))
        browser.close()
    pictures = os.environ.get("MEMORY_TEST_PICTURES")
    if pictures:
        for picture in tmp_path.glob("asset-*.png"):
            shutil.copy(picture, Path(pictures) / picture.name)
    told = json.dumps(ask(address, "{ runsOrError { ... on Runs { results { tags { key value } } } } }"))
    assert "user-" not in told


@pytest.mark.slow
def test_dg_finds_the_definitions(make_settings) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dg"), "check", "defs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successfully" in done.stdout + done.stderr
