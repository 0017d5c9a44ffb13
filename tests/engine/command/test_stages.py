"""What a run prints, and what it leaves in its folder."""

import json
import re
from pathlib import Path

import pytest

from firstlight.engine.files import write_atomically

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def files(folder="."):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_run_is_one_folder(did):
    out = did("fit", *SMALL)
    did("validate")
    did("test")
    did("predict")
    run = "lightning_logs/autograd_cubic/version_0"
    assert [re.sub(r"tfevents.*", "tfevents", name) for name in files()] == [
        f"{run}/{name}"
        for name in (
            "checkpoints/best.ckpt",
            "checkpoints/last.ckpt",
            "config.yaml",
            "events.out.tfevents",
            "hparams.yaml",
            "predictions.csv",
            "report.md",
            "run.json",
            "scores/events.out.tfevents",  # the row in TensorBoard's table of runs
            "scores/events.out.tfevents",  # the test score in it
            "test.json",
            "validate-report.md",
            "validate.json",
        )
    ]
    first, epoch, best, *rest = out.splitlines()
    assert first == f"AutogradCubic, 4 parameters, on cpu in {run}"
    assert epoch.startswith("epoch 1/1  step 2  loss/train ")
    assert best.startswith("best:    loss/val ")
    assert rest == [
        f"run:     {run}",
        "curves:  firstlight tensorboard --logdir lightning_logs",
        "next:    firstlight test --run autograd_cubic/version_0",
    ]
    assert json.loads((Path(run) / "run.json").read_text())["best"]["epoch"] == 1


def test_run_without_a_logger_writes_into_its_folder_only(did):
    did("fit", *SMALL, "--trainer.logger=false")
    run = "lightning_logs/autograd_cubic/version_0"
    assert files() == [
        f"{run}/{name}" for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "run.json")
    ]


def test_run_goes_below_the_root_folder_under_the_name_it_is_given(did):
    did("fit", *SMALL, "--trainer.default_root_dir=deep/er", "--name=mine")
    did("test", "--run=mine", "--trainer.default_root_dir=deep/er")
    assert {str(Path(name).parents[-5]) for name in files()} == {"deep/er/lightning_logs/mine"}


def test_resumed_run_prints_a_line_for_every_epoch_it_ends(did):
    many = ("fit", "-c", "autograd_cubic", "--data.num_points=30", "--data.repeats=4", "--data.batch_size=30")
    did(*many, "--trainer.max_steps=6", "--trainer.max_epochs=-1")
    out = did("fit", "--resume", "--trainer.max_steps=12")
    assert [line.split()[:4] for line in out.splitlines() if line.startswith("epoch")] == [
        ["epoch", "2", "step", "8"],
        ["epoch", "3", "step", "12"],
    ]


def test_resume_under_other_conditions_is_named_and_strict_refuses_it(did, firstlight, complaint):
    did("fit", "--config", "autograd_cubic", "--data.num_points=30", "--trainer.max_epochs=1")
    path = Path("lightning_logs/autograd_cubic/version_0/run.json")
    receipt = json.loads(path.read_text())
    receipt["versions"]["torch"] = "1.13.0"
    path.write_text(json.dumps(receipt))
    more = ("fit", "--resume", "--trainer.max_epochs=2")
    now = receipt["history"][0]["versions"]["torch"]
    text = f"resumed under other conditions: torch 1.13.0 -> {now}"
    assert complaint(*more, "--strict") == (2, f"{text} (--strict)")
    assert firstlight(*more).err == f"warning: {text}; the bits may differ\n"
    assert json.loads(path.read_text())["versions"]["torch"] == "1.13.0"


def test_preset_stops_a_run_that_no_longer_gets_better(did):
    out = did("fit", *SMALL, "-c", "presets/early_stopping", "--model.lr=1e-30", "--trainer.max_epochs=30")
    assert "early:   " in out
    assert "epoch 11/30" in out
    assert "epoch 12/30" not in out


def test_profiled_run_says_where_its_profile_is(did):
    out = did("fit", *SMALL, "-c", "presets/profile")
    assert "profile: lightning_logs/autograd_cubic/version_0/fit-profile.txt" in out


@pytest.mark.parametrize(("refused", "status"), [(1, 0), (2, 1)])
def test_receipt_that_cannot_be_closed_at_once_is_tried_again(refused, status, monkeypatch, firstlight):
    left = [OSError(5, "Input/output error")] * refused

    def write(path, content):
        if b'"status": "finished"' in content and left:
            raise left.pop()
        write_atomically(path, content)

    monkeypatch.setattr("firstlight.engine.runs.receipts.write_atomically", write)
    ended = firstlight("fit", *SMALL)
    receipt = json.loads(Path("lightning_logs/autograd_cubic/version_0/run.json").read_text())
    assert (ended.status, receipt["status"], left) == (status, "running" if status else "finished", [])


def test_resume_that_has_no_step_left_says_what_there_was_to_do(did):
    did("fit", *SMALL)
    assert "nothing left to do: raise --trainer.max_epochs (now 1)" in did("fit", "--resume")
    assert "nothing left to do: raise --trainer.max_steps (now 2)" in did("fit", "--resume", "--trainer.max_steps=2")
    assert "nothing left to do: raise --trainer.max_steps (now 1)" in did("fit", "--resume", "--trainer.max_steps=1")
    path = Path("lightning_logs/autograd_cubic/version_0/run.json")
    path.write_text(path.read_text().replace('"finished"', '"running"'))  # as a kill after the last step leaves it
    out = did("fit", "--resume")
    assert "all steps were done already: only the end of the run was left to do" in out
    assert "raise" not in out
    assert json.loads(path.read_text())["status"] == "finished"


def test_run_that_ran_out_of_time_goes_on_with_more(did):
    did("fit", *SMALL, "--trainer.max_time=00:00:00:01", "--trainer.max_epochs=100000")
    assert "(Timer: no time left); change that in --trainer.callbacks or --trainer.max_time" in did("fit", "--resume")
    path = Path("lightning_logs/autograd_cubic/version_0/run.json")
    epochs = json.loads(path.read_text())["epochs"] + 1
    did("fit", "--resume", "--trainer.max_time=00:01:00:00", f"--trainer.max_epochs={epochs}")
    assert json.loads(path.read_text())["epochs"] == epochs


def test_new_run_that_has_nothing_left_to_do_is_no_run(did, complaint):
    did("fit", *SMALL)
    words = ("fit", *SMALL, "--ckpt_path=last")
    assert complaint(*words) == (2, "there was nothing left to do: raise --trainer.max_epochs (now 1)")
    assert [path.name for path in Path("lightning_logs/autograd_cubic").iterdir()] == ["version_0"]
    did(*words, "--trainer.max_epochs=2")
