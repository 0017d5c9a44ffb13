"""A sweep over folds is a cross-validation."""

import csv
import json
import statistics
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")


def test_sweep_over_folds_gives_their_mean_and_standard_deviation(did):
    Path("folds.yaml").write_text("trials: 1\nrepeats:\n  data.fold: [0, 1, 2]\n")
    out = did(
        *("sweep", "--config", "linear_regression", "--sweep", "folds.yaml", "--data.num_folds=3"),
        *("--data.num_examples=80", "--pictures=none", "--trainer.max_epochs=1"),
    )
    scores = {}
    for path in Path("lightning_logs/linear_regression_sweep").glob("version_*/run.json"):
        scores[path.parent.name] = json.loads(path.read_text())["best"]["score"]
    assert len(set(scores.values())) == 3
    (row,) = csv.DictReader(Path("lightning_logs/linear_regression_sweep/sweep.csv").read_text().splitlines())
    assert float(row["loss/val"]) == pytest.approx(statistics.fmean(scores.values()))
    assert float(row["std"]) == pytest.approx(statistics.stdev(scores.values()))
    assert "3 runs" in out
