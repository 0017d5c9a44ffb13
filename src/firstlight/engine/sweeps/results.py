"""The results of a sweep: a table, ``sweep.csv``, ``best.yaml`` and charts."""

import csv
import io
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from firstlight.engine.files import write_atomically
from firstlight.engine.program import program
from firstlight.engine.runs.folders import LOGS, relative_to_cwd
from firstlight.engine.runs.receipts import Ending
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import axis_of
from firstlight.engine.sweeps.study import Study, standard_deviation

STATES: dict[TrialState, Ending] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def rows(study: Study) -> list[dict[str, Any]]:
    """Return a row for each trial that has ended, the best first."""
    return [
        {
            "trial": trial.number,
            "status": STATES[trial.state],
            study.monitor: trial.value if trial.state == TrialState.COMPLETE else None,
            "std": standard_deviation(trial.user_attrs.get("scores", [])),
            **{key: trial.params.get(key) for key in study.plan.search},
            "runs": " ".join(trial.user_attrs.get("runs", {}).values()),
            "error": trial.user_attrs.get("error"),
        }
        for trial in study.ranked()
    ]


def write(study: Study, name: str, root: Path) -> dict[str, Path]:
    """Write the results of a sweep with at least one trial that has ended; return the files by name.

    Raises:
        OSError: If a file cannot be written.
        FirstlightError: If the charts cannot be drawn.
    """
    folder, table, best = root / LOGS / name, rows(study), study.ranked()[0]
    files = {"table": folder / "sweep.csv"}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*table[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_atomically(files["table"], text.getvalue().encode())
    if best.state == TrialState.COMPLETE and {"config", "runs", "scores"} <= best.user_attrs.keys():  # none damaged
        files["best"] = folder / "best.yaml"
        write_atomically(files["best"], _best_config(study, best, name, files["best"]).encode())
    return files | _draw(study, name, table, folder)


def _best_config(study: Study, best: FrozenTrial, name: str, file: Path) -> str:
    """Return the config of the best trial's first run, with a comment on its score."""
    runs, deviation = best.user_attrs["runs"], standard_deviation(best.user_attrs["scores"])
    score = f"{best.value:.5g}" + (f" +- {deviation:.2g} over {len(runs)} runs" if deviation else "")
    return (
        f"# The best of the sweep {name}: {study.monitor} {score}, trial {best.number}, {runs['0']}\n#\n"
        f"#   {program()} fit --config {relative_to_cwd(file)}\n\n"
        f"{best.user_attrs['config']}"
    )


def _draw(study: Study, name: str, table: list[dict[str, Any]], folder: Path) -> dict[str, Path]:
    """Draw charts, if at least two finished trials differ in their scores."""
    finished = [row for row in table if row["status"] == "finished"]
    if not study.plan.search or len({row[study.monitor] for row in finished}) < 2:
        return {}
    axes = {key: axis_of(distribution) for key, distribution in study.plan.search.items()}
    about = {"name": name, "score": study.monitor, "axes": axes, "importances": study.importances()}
    files = {"trials": folder / "parallel_coordinates.png"}
    if about["importances"]:
        files["importances"] = folder / "importances.png"
    children.call("draw", files, finished, about)
    return files
