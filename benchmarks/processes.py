"""Run Python or the real command line in its own process with one torch thread."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
RESULTS.mkdir(exist_ok=True)


ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "FIRSTLIGHT_PACKAGES": "benchmarks",
    "PYTHONDONTWRITEBYTECODE": "",  # an installed program is compiled once
    "PYTHONPATH": os.pathsep.join(filter(None, [f"{REPOSITORY}/src", f"{REPOSITORY}", os.environ.get("PYTHONPATH")])),
}
"""What a process that is measured finds in its environment."""


def python(*args: str, **env: str) -> str:
    """Run Python in an empty folder and return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        started = {"FIRSTLIGHT_BENCH_STARTED": str(time.time())}
        result = subprocess.run(
            [sys.executable, *args],
            env={**os.environ, **ENVIRONMENT, **started, **env},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            sys.exit(f"{' '.join(args)} failed:\n{result.stderr[-2000:]}")
        clock = Path(folder, "clock.json")
        return clock.read_text() if clock.exists() else result.stdout


def run(
    stage: str, *args: str, program: tuple[str, ...] = ("-m", "firstlight"), clock: str = "Clock"
) -> dict[str, Any]:
    """Return the times of a real run with everything on."""
    callback = f'[{{"class_path": "benchmarks.clock.{clock}", "init_args": {{"path": "clock.json"}}}}]'
    times: dict[str, Any] = json.loads(python(*program, stage, *args, f"--trainer.callbacks={callback}"))
    return times
