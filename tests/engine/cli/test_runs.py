"""``firstlight runs``: the list of runs, and the comparison of two."""

import json
from datetime import datetime
from pathlib import Path

from firstlight.engine.runs import folders

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def test_runs_are_listed_and_compared(did):
    assert did("runs") == "no runs in lightning_logs: firstlight fit --config NAME makes one\n"
    did("fit", *SMALL)
    did("fit", *SMALL, "--model.lr=2e-6")
    head, second, first = did("runs").splitlines()
    assert head.split() == ["run", "score", "best", "test", "status", "epochs", "start"]
    assert second.startswith("autograd_cubic/version_1  loss/val  ")
    assert first.startswith("autograd_cubic/version_0  loss/val  ")
    different = did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    keys = [line.split()[0] for line in different.partition("\n\n")[0].splitlines()]
    assert keys == ["key", "best.score", "model.lr", "scores.loss/train", "scores.loss/val"]
    assert did("runs", "diff", "autograd_cubic", "autograd_cubic") == "the same settings and the same scores\n"


def test_diff_names_the_conditions_that_both_receipts_hold(did):
    for threads, data in ((4, {"train": "a"}), (1, {"train": "b"})):
        did("fit", *SMALL)
        path = sorted(Path("lightning_logs/autograd_cubic").glob("*/run.json"))[-1]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"threads": threads, "data": data, "device": None}))
    different = did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    table = different.partition("\n\n")[0]
    assert [line.split() for line in table.splitlines()[1:]] == [["threads", "4", "1"], ["data.train", "a", "b"]]
    path.write_text(json.dumps({"scores": json.loads(path.read_text())["scores"]}))  # as old receipts are
    assert "threads" not in did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")


def test_start_is_shown_to_the_minute_and_in_local_time(did):
    start = "2026-01-01T23:31:05.250+00:00"
    written("known", start=start)
    written("damaged", start="then")
    rows = {line.split()[0]: line.split()[6:] for line in did("runs").splitlines()[1:]}
    assert rows["known/version_0"] == datetime.fromisoformat(start).astimezone().strftime("%Y-%m-%d %H:%M").split()
    assert rows["damaged/version_0"] == ["then"]
    assert start in [row["start"] for row in json.loads(did("runs", "--json"))["runs"]]


def test_runs_called_diff_are_listed(did):
    did("fit", "--config", "autograd_cubic", "--trainer.max_epochs=1", "--pictures=none", "--name", "diff")
    assert "diff/version_0" in did("runs", "diff")


def written(name, version=0, seed=0, score=0.5, test=None, note=None, lr=0.1, **fields):
    """Write a run as a fit leaves it, and perhaps a test."""
    folder = Path("lightning_logs", name, f"version_{version}")
    folder.mkdir(parents=True)
    config = {"seed_everything": seed, "model": {"class_path": "firstlight.MLP", "init_args": {"lr": lr}}}
    config["data"] = {"class_path": "firstlight.FashionMNIST", "init_args": {"seed": seed, "fold": version}}
    (folder / "config.yaml").write_text(json.dumps(config))
    receipt = {"status": "finished", "start": f"2026-01-0{version + 1}", "note": note, "epochs": 3}
    receipt["best"] = {"name": "accuracy/val", "mode": "max", "score": score, "epoch": 2}
    (folder / "run.json").write_text(json.dumps(receipt | fields))
    if test is not None:
        (folder / "test.json").write_text(json.dumps({"checkpoint": "best.ckpt", "accuracy/test": test}))
    return folder


def test_test_score_is_shown_beside_the_validation_score(did):
    did("fit", *SMALL)
    assert json.loads(did("runs", "--json"))["runs"][0]["test"] is None
    did("test")
    (row,) = json.loads(did("runs", "--json"))["runs"]
    assert row["test"] == json.loads(Path("lightning_logs/autograd_cubic/version_0/test.json").read_text())["loss/test"]
    assert (row["score"], row["mode"]) == ("loss/val", "min")
    did("fit", "--resume", "--trainer.max_epochs=9")
    assert json.loads(did("runs", "--json"))["runs"][0]["test"] is None  # it was that of other weights
    did("test")
    assert json.loads(did("runs", "--json"))["runs"][0]["test"] < row["test"]


def test_each_receipt_is_read_once(did, monkeypatch):
    for version in range(3):
        written("a", version)
    opened = []
    read = folders.read_json
    monkeypatch.setattr(folders, "read_json", lambda path: opened.append(path.name) or read(path))
    did("runs")
    assert opened.count("run.json") == 3


def test_runs_that_differ_in_seed_or_fold_are_a_group(did):
    for version, (best, test) in enumerate([(0.5, 0.7), (0.75, 0.25), (0.625, None)]):
        written("mlp", version, seed=version, score=best, test=test)
    written("wide", 0, score=0.25, lr=0.5)
    written("wide", 1, status="failed")
    first, second = json.loads(did("runs", "--group", "--json"))["groups"]
    assert first["run"] == "mlp/version_2 and 2 more"
    expected = {"n": 3, "mean": 0.625, "std": 0.125, "best": 0.75, "tested": 2, "test_mean": 0.475}
    assert {key: first[key] for key in expected} == expected
    assert first["test_of_best"] == 0.25  # not the best test score, which test data would have chosen
    assert (second["n"], second["std"], second["tested"], second["test_mean"]) == (1, None, 0, None)
    assert [first["settings"], second["settings"]] == ["model.lr=0.1", "model.lr=0.5"]
    assert "0.625" in did("runs", "mlp", "--group")
    Path("lightning_logs/mlp/version_0/config.yaml").unlink()
    assert json.loads(did("runs", "--group", "--json"))["groups"][0]["n"] == 2


def test_groups_show_in_what_they_differ_from_those_of_the_same_model_and_data(did):
    adam = [{"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": lr}}} for lr in (0.5, 0.25)]
    for number, more in enumerate([{}, *adam, {"model": {"class_path": "firstlight.NeuralNetwork"}}]):
        path = written("a", number) / "config.yaml"
        path.write_text(json.dumps({"optimizer": None} | json.loads(path.read_text()) | more))
    groups = json.loads(did("runs", "--group", "--json"))["groups"]
    assert [group["settings"] for group in groups] == [
        "model=NeuralNetwork",
        "model=MLP optimizer=Adam optimizer.lr=0.25",
        "model=MLP optimizer=Adam optimizer.lr=0.5",
        "model=MLP optimizer=null",
    ]


def test_best_of_a_group_is_the_smallest_loss(did):
    for version in (0, 1):
        written("mlp", version, best={"name": "loss/val", "score": 2.0 - version})  # as old receipts are
    assert json.loads(did("runs", "--group", "--json"))["groups"][0]["best"] == 1.0


def test_note_is_shown_kept_and_found(did, complaint):
    did("fit", *SMALL, "--note", "wider, no dropout")
    written("mlp")
    assert did("runs").splitlines()[0].split()[-1] == "note"
    (line,) = did("runs", "WIDER").splitlines()[1:]
    assert line.startswith("autograd_cubic/version_0")
    assert line.endswith("wider, no dropout")
    assert "note" not in did("runs", "mlp")
    assert "mlp/version_0" in did("runs", "mlp/version_0")
    did("fit", "--resume", "autograd_cubic", "--trainer.max_epochs=2")
    assert "wider" in did("runs", "autograd")
    assert complaint("runs", "narrow")[1].startswith("no run 'narrow' in lightning_logs")
    assert complaint("test", "--note", "late") == (2, "--note belongs to fit")


def test_damaged_scores_are_not_shown(did):
    folder = written("mlp", score="high", note={"a": 1})
    (folder / "test.json").write_text('{"accuracy/test": "high"}')
    (row,) = json.loads(did("runs", "--json"))["runs"]
    assert (row["best"], row["test"], row["note"]) == (None, None, None)
    assert did("runs", "--group") == "no run has finished: there is nothing to group\n"
