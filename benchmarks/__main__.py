"""Compare real runs with raw loops, in alternation, and print the medians of their times and ratios.

    python -m benchmarks [--rounds 5] [--only mlp]

Each measurement runs in its own process with one torch thread. Needs the real images (FIRSTLIGHT_DATA).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from docs.tables import fill, markdown

from benchmarks.processes import ENVIRONMENT, REPOSITORY, RESULTS, python, run

LOOP = "the same in a raw loop"
NUMPY = "the document's NumPy loop"


@dataclass
class Goal:
    """One comparison.

    Args:
        work: What the run does.
        to: What it is compared with.
        raw: Measures that, in seconds.
        ours: Measures the real run, in seconds.
        at_most: The goal: the largest acceptable ratio of ours to raw.
    """

    work: str
    to: str
    raw: Callable[[], float]
    ours: Callable[[], float]
    at_most: float


def raw(*name: str) -> float:
    """Return the seconds of a loop of ``benchmarks.raw``."""
    return float(python("-m", "benchmarks.raw", *name))


def epoch(config: str, *args: str) -> float:
    """Return the seconds of an epoch, after the first."""
    times = run("fit", "--config", config, "--trainer.max_epochs=3", "--data.batch_size=256", *args)
    return float(min(times["epochs"][1:]))


def process(*args: str) -> float:
    """Return the seconds of a whole process."""
    start = time.perf_counter()
    python(*args)
    return time.perf_counter() - start


def trial(trials: int = 8) -> float:
    """Return the seconds that a trial of a sweep takes by two workers, each with one torch thread."""
    with tempfile.TemporaryDirectory() as folder:
        search = {"trials": trials, "search": {"model.lr": {"low": 0.01, "high": 0.5}}, "pruner": "none"}
        Path(folder, "lr.yaml").write_text(json.dumps(search))
        command = [sys.executable, "-m", "firstlight", "sweep", "--config=softmax_regression", "--sweep=lr.yaml"]
        start = time.perf_counter()
        workers = [
            subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, cwd=folder, stdout=subprocess.DEVNULL)
            for _ in range(2)
        ]
        if any(worker.wait() for worker in workers):
            sys.exit("the sweep failed")
        return (time.perf_counter() - start) / trials


def loaded(workers: int, changed: str, *, plain: bool) -> float:
    """Return the seconds of an epoch over a ``DataLoader``, after the first; the third of four draws no pictures."""
    program = (str(REPOSITORY / "benchmarks" / "plain_own_data.py"),) if plain else ("-m", "firstlight")
    classes = () if plain else ("--model=MLP", "--data=benchmarks.own_data.OwnImages")
    how = (f"--data.num_workers={workers}", f"--data.augmented={changed == 'augmented'}", "--model.lr=0.1")
    times = run("fit", *classes, *how, "--trainer.max_epochs=4", program=program)
    return float(min(times["epochs"][1:]))


def own_data() -> Iterator[tuple[str, Goal]]:
    """Yield the comparisons for data of one's own, by a short name."""
    for workers, changed, at_most in ((0, "as it is", 1.02), (2, "as it is", 1.02), (0, "augmented", 1.05)):
        work, how = f"own data, {workers} workers, {changed}", (workers, changed)
        ours = partial(loaded, *how, plain=False)
        name = f"own{workers}" if changed == "as it is" else "augmented"
        yield name, Goal(work, "plain Lightning", partial(loaded, *how, plain=True), ours, at_most)
        yield f"{name}_raw", Goal(work, LOOP, partial(raw, "loaded", str(workers), changed), ours, 1.5)


def goals() -> dict[str, Goal]:
    """Return all comparisons, by a short name."""
    wide = ("--model.init_std=null", "--model.lr=0.1")
    cubic = ("--model=AutogradCubic",)
    plain = (str(REPOSITORY / "benchmarks" / "plain_cli.py"),)
    quick = {
        f"firstlight {args}": Goal(
            f"`firstlight {args}`",
            "`python -c pass` + 0.3 s",
            lambda: process("-c", "pass") + 0.3,
            lambda args=args: process("-m", "firstlight", args),  # type: ignore[misc]
            0.25,
        )
        for args in ("--help", "--version", "configs", "runs")
    }
    return {
        "mlp": Goal("MLP 784-256-10, an epoch", LOOP, lambda: raw("mlp"), lambda: epoch("mlp"), 1.06),
        "softmax": Goal(
            "softmax regression, an epoch", LOOP, lambda: raw("softmax"), lambda: epoch("softmax_regression"), 1.4
        ),
        "network": Goal(
            "784-512-512-10, an epoch",
            LOOP,
            lambda: raw("network"),
            lambda: epoch("mlp", "--model.hidden_dims=[512,512]", *wide),
            1.02,
        ),
        "evaluation": Goal(
            "evaluation of 10,000 images",
            LOOP,
            lambda: raw("evaluation"),
            lambda: float(run("test", "--config", "mlp", "--ckpt_path", "none")["test"]),
            1.2,
        ),
        "manual": Goal(
            "2000 steps of a cubic by hand",
            NUMPY,
            lambda: raw("cubic"),
            lambda: float(run("fit", "--config", "manual_cubic")["fit"]),
            0.3,
        ),
        "autograd": Goal(
            "2000 steps of a cubic by autograd",
            NUMPY,
            lambda: raw("cubic"),
            lambda: float(run("fit", "--config", "autograd_cubic")["fit"]),
            0.5,
        ),
        "ensemble": Goal(
            "2000 steps of 1,000 cubics at once",
            NUMPY,
            lambda: raw("cubic"),
            lambda: float(run("fit", "--config", "sine_ensemble")["fit"]),
            1.0,
        ),
        "start": Goal(
            "process start to the first step of `fit`",
            "a plain LightningCLI script",
            lambda: float(run("fit", "--trainer.max_steps=1", program=plain, clock="FirstStep")["first_step"]),
            lambda: float(run("fit", *cubic, "--data=Sine", "--trainer.max_steps=1", clock="FirstStep")["first_step"]),
            0.65,
        ),
        "sweep": Goal(
            "softmax regression, a trial of a sweep by two workers",
            "`firstlight fit`, one after the other",
            lambda: process("-m", "firstlight", "fit", "--config=softmax_regression"),
            trial,
            0.33,
        ),
        **dict(own_data()),
        **quick,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the page on speed."""
    cells = [[row["work"], row["to"], f"{row['ratio']:.2f}", _verdict(row)] for row in rows]
    return markdown([["work", "compared with", "ratio (lower is better)", "goal"], *cells])


def _verdict(row: dict[str, Any]) -> str:
    return f"{row['at_most']:.2f}" + ("" if row["ratio"] <= row["at_most"] else " (goal missed)")


def main() -> None:
    """Measure, print a table, and write it as JSON and into docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="short names of comparisons")
    options = parser.parse_args()
    chosen = goals()
    if options.only:
        chosen = {name: chosen[name] for name in options.only}
    rows = []
    print(f"{'work':42} {'raw':>9} {'run':>9} {'ratio':>6} {'at most':>8}")
    for name, goal in chosen.items():
        pairs = [(goal.raw(), goal.ours()) for _ in range(options.rounds)]
        before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(ours / limit for limit, ours in pairs)
        verdict = "reached" if ratio <= goal.at_most else f"missed by {ratio / goal.at_most - 1:.0%}"
        print(f"{goal.work:42} {before:8.3f}s {after:8.3f}s {ratio:6.2f} {goal.at_most:8.2f}  {verdict}", flush=True)
        rows.append(
            {"name": name, "work": goal.work, "to": goal.to, "ratio": ratio, "at_most": goal.at_most, "pairs": pairs}
        )
    (RESULTS / "goals.json").write_text(json.dumps(rows, indent=2) + "\n")
    if not options.only:
        page = REPOSITORY / "docs" / "speed.md"
        page.write_text(fill(page.read_text(encoding="utf-8"), "bench", table(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
