"""What importing the code location costs, as a ratio to importing Dagster, and what it must not bring along.

python -m benchmarks.startup
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HEAVY = ("torch", "transformers", "lancedb", "openai", "ray", "sqlalchemy", "dataframely", "numpy", "onnxruntime")
PROBE = "import sys, time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t, *(m for m in {heavy} if m in sys.modules))"


def seconds(module: str, home: str) -> tuple[float, list[str]]:
    """Return the import time of a module in a fresh interpreter, and the heavy modules it loaded."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE.format(module=module, heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MEMORY_HOME": home},
    )
    first, *loaded = run.stdout.split()
    return float(first), loaded


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeat", type=int, default=7, help="interpreters started for each, alternating; medians are compared"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        seconds("dagster", home), seconds("definitions", home)  # file caches warm, bytecode written
        dagster, definitions, loaded = [], [], []
        for _ in range(options.repeat):
            dagster.append(seconds("dagster", home)[0])
            taken, heavy = seconds("definitions", home)
            definitions.append(taken)
            loaded = heavy
    print(
        json.dumps(
            {
                "benchmark": "startup",
                "dagster_s": round(statistics.median(dagster), 3),
                "definitions_s": round(statistics.median(definitions), 3),
                "ratio": round(statistics.median(definitions) / statistics.median(dagster), 3),
                "heavy_modules": loaded,
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
