"""Groups of runs that differ in nothing but seed or fold: mean, standard deviation and best of their scores."""

import json
import re
import statistics
from collections.abc import Iterable
from typing import Any

from firstlight.engine.command.settings import flatten, short_key
from firstlight.engine.runs.folders import Run
from firstlight.errors import CheckpointError

OF_NO_GROUP = re.compile(
    r"(\w+\.)?(seed_everything|seed|pictures|logger.*)|data\.(fold|root|device_resident)|checkpoint\.every_n_steps|"
    r"trainer\.(default_root_dir|log_every_n_steps|enable_progress_bar)|updates_per_batch"
)
"""Settings in which runs of a group may differ: seed, fold, and those that change no score."""
CLASSES = ("model", "data", "optimizer", "lr_scheduler")


def group_rows(runs: Iterable[tuple[Run, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each group of the finished runs among some, each given with its own row, in their order.

    Standard deviations are those of samples. ``test_of_best`` is the test score of the run with the best validation
    score: the best of several test scores would be one that was chosen by test data.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run, row in runs:
        if row["status"].startswith("finished") and row["best"] is not None:
            try:
                found = {short_key(key): value for key, value in flatten(run.read_config())}
            except CheckpointError:
                continue
            found = {key: value for key, value in found.items() if not OF_NO_GROUP.fullmatch(key)}
            same = json.dumps(found, sort_keys=True, default=str)
            groups.setdefault(same, []).append(row)
            settings[same] = found
    # settings of other models on other data are not comparable
    kinds = {same: (str(found.get("model")), str(found.get("data"))) for same, found in settings.items()}
    alike = {kind: [settings[same] for same in settings if kinds[same] == kind] for kind in kinds.values()}
    shown = {kind: _differing(found) for kind, found in alike.items()}
    named = _differing([dict(zip(CLASSES, kind, strict=False)) for kind in alike])
    return [
        _row(rows, " ".join(_text(key, found[key]) for key in [*named, *shown[kinds[same]]] if key in found))
        for same, rows in groups.items()
        for found in [settings[same]]
    ]


def _differing(groups: list[dict[str, Any]]) -> list[str]:
    """Return the settings that have another value in some of the groups that have them."""
    values: dict[str, set[str]] = {}
    for key, value in (item for group in groups for item in group.items()):
        values.setdefault(key, set()).add(str(value))
    return [key for key, found in sorted(values.items()) if len(found) > 1]


def _text(key: str, value: Any) -> str:
    """Return a setting as it is typed; of a class the name alone."""
    text = "null" if value is None else str(value)
    return f"{key}={text.rpartition('.')[2] if key in CLASSES else text}"


def _row(rows: list[dict[str, Any]], settings: str) -> dict[str, Any]:
    best = (max if rows[0]["mode"] == "max" else min)(rows, key=lambda row: float(row["best"]))
    scores, tests = [row["best"] for row in rows], [row["test"] for row in rows if row["test"] is not None]
    return {
        "run": rows[0]["run"] + f" and {len(rows) - 1} more" * (len(rows) > 1),
        "n": len(rows),
        "score": rows[0]["score"],
        "mean": statistics.fmean(scores),
        "std": statistics.stdev(scores) if len(scores) > 1 else None,
        "best": best["best"],
        "tested": len(tests),
        "test_mean": statistics.fmean(tests) if tests else None,
        "test_std": statistics.stdev(tests) if len(tests) > 1 else None,
        "test_of_best": best["test"],
        "settings": settings or None,
    }
