"""``firstlight runs``: the list of runs, and the comparison of two."""

import json
from pathlib import Path

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def test_runs_are_listed_and_compared(did):
    assert did("runs") == "no runs in lightning_logs: firstlight fit --config NAME makes one\n"
    did("fit", *SMALL)
    did("fit", *SMALL, "--model.lr=2e-6")
    head, second, first = did("runs").splitlines()
    assert head.split() == ["run", "status", "epochs", "score", "best", "start"]
    assert second.startswith("autograd_cubic/version_1  finished  1       loss/val  ")
    assert first.startswith("autograd_cubic/version_0  finished  1       loss/val  ")
    different = did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    keys = [line.split()[0] for line in different.splitlines()]
    assert keys == ["key", "best.score", "model.lr", "scores.loss/train", "scores.loss/val"]
    assert did("runs", "diff", "autograd_cubic", "autograd_cubic") == "the same settings and the same scores\n"


def test_diff_names_the_conditions_that_both_receipts_hold(did):
    for threads, data in ((4, {"train": "a"}), (1, {"train": "b"})):
        did("fit", *SMALL)
        path = sorted(Path("lightning_logs/autograd_cubic").glob("*/run.json"))[-1]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"threads": threads, "data": data, "device": None}))
    different = did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    assert [line.split() for line in different.splitlines()[1:]] == [["threads", "4", "1"], ["data.train", "a", "b"]]
    path.write_text(json.dumps({"scores": json.loads(path.read_text())["scores"]}))  # as old receipts are
    assert "threads" not in did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")


def test_runs_called_diff_are_listed(did):
    did("fit", "--config", "autograd_cubic", "--trainer.max_epochs=1", "--pictures=none", "--name", "diff")
    assert "diff/version_0" in did("runs", "diff")
