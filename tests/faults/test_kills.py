"""A run that is killed and resumed ends in the very bits of one that was never stopped."""

import json

import pytest
from harness import firstlight, last_step, left_behind, the_run, tiny
from tests.repeated import first_quick

CASES = {
    # the config and its flags, and the steps at which the run is killed
    "dropout, shifts, one cycle, average": (
        [
            "neural_network_best",
            "--checkpoint.every_n_steps=4",
            "--trainer.callbacks=EMAWeightAveraging",
            "--trainer.callbacks.update_every_n_steps=5",
        ],
        [14, 6],
    ),
    "random control flow": (["dynamic_polynomial", "--checkpoint.every_n_steps=3"], [4, 16]),
    "checkpoint at epoch ends only": (["dynamic_polynomial"], [0, 12]),
    "curve ahead of its checkpoint": (
        [
            "softmax_regression",
            "--checkpoint.every_n_steps=4",
            "--trainer.log_every_n_steps=1",
            "--trainer.callbacks=LearningRateMonitor",
        ],
        [7],
    ),
    "gradients by hand, accumulated": (
        ["manual_cubic", "--checkpoint.every_n_steps=3", "--trainer.accumulate_grad_batches=2"],
        [5, 8],
    ),
    "validation within the epoch": (
        ["dynamic_polynomial", "--checkpoint.every_n_steps=2", "--trainer.val_check_interval=0.5"],
        [5],
    ),
    "double precision": (["mlp", "--checkpoint.every_n_steps=3", "--trainer.precision=64-true"], [8]),
    "a number of steps": (["linear_regression", "--checkpoint.every_n_steps=3", "--trainer.max_steps=20"], [8, 13]),
    "learning rate that falls with the score": (
        [
            "mlp",
            "--checkpoint.every_n_steps=2",
            "--optimizer=Adam",
            "--lr_scheduler=ReduceLROnPlateau",
            "--lr_scheduler.monitor=loss/train",
            "--lr_scheduler.patience=0",
            "--lr_scheduler.mode=max",
        ],
        [3, 6],
    ),
}


def flags_of(case):
    config, *flags = CASES[case][0]
    return [*tiny(config, images="../fashion"), *flags]


@pytest.mark.parametrize(
    ("case", "step"), first_quick(1, [(case, step) for case, (_, steps) in CASES.items() for step in steps])
)
def test_killed_run_goes_on_to_the_same_bits(case, step, unbroken, tmp_path):
    flags = flags_of(case)
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    assert firstlight(folder, *flags, fault={"do": "SIGKILL", "step": step}).status == -9
    resumed = firstlight(folder, "fit", "--resume")
    assert resumed.status == 0, resumed.text
    assert differences(folder) == []
    assert "arning" not in resumed.text


@pytest.mark.slow
def test_run_that_is_killed_twice_goes_on_to_the_same_bits(unbroken, tmp_path):
    flags = flags_of("dropout, shifts, one cycle, average")
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    firstlight(folder, *flags, fault={"do": "SIGKILL", "step": 5})
    assert firstlight(folder, "fit", "--resume", fault={"do": "SIGKILL", "step": 9}).status == -9
    assert firstlight(folder, "fit", "--resume").status == 0
    assert differences(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sanity", "validation", "epoch"])
def test_run_that_is_killed_between_steps_goes_on_to_the_same_bits(where, unbroken, tmp_path):
    flags = flags_of("random control flow")
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    assert firstlight(folder, *flags, fault={"do": "SIGKILL", "where": where, "step": 0}).status == -9
    resumed = firstlight(folder, "fit", "--resume")
    if where == "sanity":  # there was nothing to go on from yet
        assert resumed.status == 2
        assert resumed.text.startswith("error: ")
    else:
        assert differences(folder) == []


@pytest.mark.parametrize("do", ["cut", "written", pytest.param("saved", marks=pytest.mark.slow)])
def test_run_that_is_killed_while_it_saves_goes_on_to_the_same_bits(do, unbroken, tmp_path):
    flags = flags_of("random control flow")
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fault = {"do": do, "where": "save", "step": 8}
    assert firstlight(folder, *flags, fault=fault, TMPDIR=str(elsewhere)).status == -9
    assert firstlight(folder, "fit", "--resume", TMPDIR=str(elsewhere)).status == 0
    assert differences(folder) == []
    assert not list(elsewhere.iterdir())
    assert sorted(path.name for path in (the_run(folder) / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.slow
def test_run_that_is_killed_after_its_last_checkpoint_ends_once_it_is_resumed(unbroken, tmp_path):
    flags = [*flags_of("random control flow"), "--trainer.callbacks=StochasticWeightAveraging"]
    flags += ["--trainer.callbacks.swa_lrs=0.005", "--trainer.callbacks.swa_epoch_start=1"]
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    assert firstlight(folder, *flags, fault={"do": "saved", "where": "save", "step": 24}).status == -9
    assert firstlight(folder, "fit", "--resume").status == 0
    assert differences(folder) == []
    receipts = [json.loads((the_run(each) / "run.json").read_text()) for each in (folder, tmp_path / "unbroken")]
    killed, whole = ({key: receipt[key] for key in ("status", "scores", "step", "best")} for receipt in receipts)
    assert killed == whole


def test_longer_run_goes_the_way_of_one_that_was_planned_longer(unbroken, tmp_path):
    flags = flags_of("random control flow")
    differences = unbroken([*flags, "--trainer.max_epochs=5"])
    folder = tmp_path / "longer"
    assert firstlight(folder, *flags).status == 0
    assert firstlight(folder, "fit", "--resume", "--trainer.max_epochs=5").status == 0
    assert differences(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("--updates_per_batch=1", "--updates_per_batch=7"),
        ("--updates_per_batch=7", "--updates_per_batch=1"),
        ("--updates_per_batch=7", "--updates_per_batch=3"),
        ("--updates_per_batch=7", "--trainer.gradient_clip_val=1e9"),
        ("--updates_per_batch=7", "--trainer.max_steps=24"),
    ],
)
def test_run_goes_on_to_the_same_bits_with_other_numbers_of_updates_at_a_time(before, after, unbroken, tmp_path):
    flags = [*tiny("dynamic_polynomial"), "--trainer.log_every_n_steps=1", "--checkpoint.every_n_steps=5"]
    differences = unbroken(flags)
    folder = tmp_path / "killed"
    assert firstlight(folder, *flags, before, fault={"do": "SIGKILL", "step": 14}).status == -9
    assert last_step(folder) == 10  # two into the second epoch
    resumed = firstlight(folder, "fit", "--resume", after)
    assert resumed.status == 0, resumed.text
    assert differences(folder) == []
    curve = left_behind(folder)["curves"]["loss/step"]
    assert [step for step, _ in curve] == [*range(24)]
