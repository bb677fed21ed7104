"""The rooms: no module imports another in a circle; floors are checked by import-linter (`lint-imports`)."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOMS = (
    *("records", "language", "transforms", "plugins", "resources", "privacy", "model_registry", "serving"),
    *("dbt_like_sql", "memory_assets", "commands"),
)
ROOT = Path(__file__).parents[2]


def test_no_module_imports_another_in_a_circle() -> None:
    graph = grimp.build_graph(*ROOMS, exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 250
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_the_client_is_imported_by_the_name_that_one_installs_without_the_orchestrator() -> None:
    program = (
        "import sys; from memory_assets import MemoryClient; print(MemoryClient.__name__, 'dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MemoryClient", "False"]
