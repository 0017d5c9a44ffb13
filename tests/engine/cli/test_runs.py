"""``firstlight runs``: the list of runs, and the comparison of two."""

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
