"""What came out of a sweep: a table, ``sweep.csv``, ``best.yaml`` and pictures."""

import csv
import io
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from firstlight.engine.files import write_atomically
from firstlight.engine.program import program
from firstlight.engine.runs.folders import LOGS, relative_to_cwd
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.study import Study, scores

__all__ = ["rows", "write"]

STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def rows(study: Study) -> list[dict[str, Any]]:
    """Return a row a trial, the best first."""
    return [_row(study, trial) for trial in study.ranked()]


def _row(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    score = scores(trial) if trial.state == TrialState.COMPLETE else {"mean": None, "std": None}
    return {
        "trial": trial.number,
        "status": STATES[trial.state],
        study.monitor: score["mean"],
        "std": score["std"],
        **{key: trial.params.get(key) for key in study.plan.search},
        "runs": " ".join(trial.user_attrs.get("runs", {}).values()),
    }


def write(study: Study, name: str, root: Path) -> dict[str, Path]:
    """Write what came out into the sweep's folder, and return the files by what they are."""
    folder = root / LOGS / name
    table = rows(study)
    reasons = {trial.number: trial.user_attrs.get("error") for trial in study.ranked()}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*table[0], "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"error": reasons[row["trial"]]} for row in table)
    files = {"table": folder / "sweep.csv"}
    write_atomically(files["table"], text.getvalue().encode())
    if best := _best(study, name, root):
        files["best"] = folder / "best.yaml"
        write_atomically(files["best"], best.encode())
    return files | _draw(study, name, table, folder)


def _best(study: Study, name: str, root: Path) -> str | None:
    """Return the best trial's configuration as ``fit --config`` takes it: that of its first run."""
    finished = study.ranked()[:1]
    if not finished or finished[0].state != TrialState.COMPLETE:
        return None
    score, runs, config = scores(finished[0]), finished[0].user_attrs["runs"], finished[0].user_attrs["config"]
    reached = f"{score['mean']:.5g}" + (f" +- {score['std']:.2g} over {len(runs)} runs" if score["std"] else "")
    return (
        f"# The best of the sweep {name}: {study.monitor} {reached}, trial {finished[0].number}, {runs['0']}\n#\n"
        f"#   {program()} fit --config {relative_to_cwd(root / LOGS / name / 'best.yaml')}\n\n"
        f"{config}"
    )


def _draw(study: Study, name: str, table: list[dict[str, Any]], folder: Path) -> dict[str, Path]:
    """Draw what can be seen in several trials of something that was searched."""
    finished = [row for row in table if row["status"] == "finished"]
    shares = study.importances() if study.plan.search else {}
    if not shares:
        return {}
    files = {"trials": folder / "parallel_coordinates.png", "importances": folder / "importances.png"}
    axes = {key: dict(vars(values)) for key, values in study.plan.search.items()}
    about = {"name": name, "score": study.monitor, "axes": axes, "importances": shares}
    children.call("draw", files, finished, about)
    return files
