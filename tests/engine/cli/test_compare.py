"""``firstlight runs diff``: whether one of two runs predicts better by more than chance."""

import csv
import json
import random
from pathlib import Path

import pytest

A, B = (Path(f"lightning_logs/mlp/version_{number}") for number in (0, 1))


def write(run, rows, data="a", words=("predict",), before=(), **receipt):
    """Write a run with predictions, as ``fit`` and ``predict`` leave it."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text("model: {class_path: MLP}")
    commands = [*before, ("fit",), words]
    history = [{"command": ["firstlight", *typed], "data": {"test": data}} for typed in commands]
    (run / "run.json").write_text(json.dumps({"status": "finished", "history": history, **receipt}))
    with (run / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def classes(rate, seed, n=2000):
    """Return predictions that are right at a rate, in another order for each seed."""
    coins = random.Random(seed)
    rows = [{"index": i, "truth": i % 10, "class": i % 10 if coins.random() < rate else 10} for i in range(n)]
    return coins.sample(rows, n)


def sentences(did):
    return did("runs", "diff", A, B).split("\n\n")[1].splitlines()


def test_better_run_is_called_better(did):
    write(A, classes(0.80, 1))
    write(B, classes(0.90, 2))
    scores, verdict = sentences(did)
    assert scores.startswith("test accuracy: mlp/version_0 0.793 (95 %: 0.7747 to 0.8102), mlp/version_1 0.9")
    assert verdict.startswith("mlp/version_1 is right on 11.")
    assert verdict.endswith("; by chance alone such a difference is rare (p < 0.0001)")
    assert did("runs", "diff", B, A).split("\n\n")[1].splitlines()[1] == verdict


def test_difference_by_chance_is_called_so(did):
    write(A, classes(0.90, 1))
    write(B, classes(0.90, 2))
    assert "; that may be chance (p = 0." in sentences(did)[1]
    paired = json.loads(did("runs", "diff", A, B, "--json"))["predictions"]
    assert paired["p"] > 0.05
    assert paired["difference"]["low"] < 0 < paired["difference"]["high"]
    assert (paired["score"], paired["examples"]) == ("accuracy", 2000)


def test_difference_by_rounding_is_called_so(did):
    for run, lower in ((A, 0.0), (B, 1e-8)):
        write(run, [{"y": i, "prediction": i + 0.1 - lower + i / 1e5} for i in range(200)])
    assert sentences(did)[1] == "the errors are the same but for rounding"
    assert json.loads(did("runs", "diff", A, B, "--json"))["predictions"]["p"] < 0.05


def test_numbers_are_compared_by_their_squared_errors(did):
    coins = random.Random(0)
    for run, error in ((A, 1.0), (B, 0.5)):
        write(run, [{"y1": i, "y2": 0, "prediction1": i + coins.gauss(0, error), "prediction2": 0} for i in range(200)])
    scores, verdict = sentences(did)
    assert scores.startswith("test mean squared error: mlp/version_0 0.")
    assert verdict.startswith("mlp/version_1 has an error lower by 0.")
    assert "is rare" in verdict


@pytest.mark.parametrize(
    ("second", "reason"),
    {
        "data": ({"rows": classes(0.9, 2), "data": "b"}, "the predictions are for different data"),
        "truth": ({"rows": [{"index": 0, "truth": 3, "class": 3}]}, "the predictions are for different data"),
        "examples": ({"rows": [{"index": 5000, "truth": 3, "class": 3}]}, "fewer than two examples are in the"),
        "files": ({"rows": [{"file": "a.png", "row": 1, "class": 3}]}, f"{B}/predictions.csv is of files"),
        "outdated": ({"rows": classes(0.9, 2), "words": ("fit", "--resume")}, f"{B}/predictions.csv is older than"),
        "elsewhere": (
            {"rows": classes(0.9, 2), "words": ("predict", "--output=a.csv")},
            f"{B}/predictions.csv is older than",
        ),
        "nan": ({"rows": [{"index": i, "y": i % 10, "prediction": "nan"} for i in range(5)]}, "predictions are NaN"),
        "columns": (
            {"rows": [{"index": i, "truth": i % 10, "wing": 1} for i in range(5)]},
            "predictions.csv needs the columns truth and class",
        ),
    }.values(),
    ids=str,
)
def test_predictions_that_cannot_be_compared_are_not(second, reason, did):
    columns = ("y", "prediction") if "NaN" in reason else ("truth", "class")
    write(A, [{"index": i, columns[0]: i % 10, columns[1]: 3} for i in range(100)])
    write(B, **second)
    (line,) = sentences(did)
    assert line.startswith(f"test scores are not compared: {reason}")


def test_missing_predictions_are_said_with_the_command_that_writes_them(did):
    small = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")
    for seed in (0, 1):
        did("fit", *small, f"--seed_everything={seed}", "--pictures=none")
    both = ("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    for run in both[2:]:
        line = did(*both).splitlines()[-1]
        how = f"firstlight predict --run {run}"
        assert line.endswith(f": lightning_logs/{run} has no predictions.csv; to write it: {how}")
        did(*how.split()[1:])
        did("test", "--run", run)
    scores, _ = did(*both).splitlines()[-2:]
    tested = json.loads(Path("lightning_logs/autograd_cubic/version_0/test.json").read_text())["loss/test"]
    assert scores.startswith(f"test mean squared error: autograd_cubic/version_0 {tested / 29:.4g} (95 %: ")


def test_epoch_of_an_old_receipt_is_counted_from_one(did):
    write(A, classes(0.9, 1), best={"name": "accuracy/val", "epoch": 1})
    write(B, classes(0.9, 1), best={"name": "accuracy/val", "mode": "max", "epoch": 2})
    (B / "test.json").write_text('{"epoch": 2, "accuracy/test": 1.0}')
    found = did("runs", "diff", A, B)
    assert "scores.accuracy/test" in found
    assert "epoch" not in found  # nor that of the tested checkpoint, which is no score
