"""The notebook runs as it is, on the published file."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from serving.client import MemoryClient
from tests.conftest import SAMPLE, weekly_run

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "analytics.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_and_draws(make_settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings("nb")
    memory = MemoryClient(settings)
    for name in ("companion", "streamer", "world"):
        memory.import_file(str(SAMPLE / f"{name}.jsonl"))
    assert weekly_run(settings, "2025-09-01", "2025-10-27", analytics=True).success
    monkeypatch.setenv("MEMORY_HOME", str(settings.home))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    drawn = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/svg+xml" in output.get("data", {})
    ]
    assert len(drawn) == 6
