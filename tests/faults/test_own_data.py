"""A run on data of the user's own, killed and resumed with another number of workers, ends in the same bits."""

import pytest
from harness import differences, firstlight, left_behind, together

OWN = {"FIRSTLIGHT_PACKAGES": "own_data"}
FIT = [
    *("fit", "--model=MLP", "--model.num_features=4", "--model.hidden_dims=[8]", "--model.num_classes=2"),
    *("--trainer.max_epochs=3", "--trainer.accelerator=cpu", "--checkpoint.every_n_steps=2", "--pictures=none"),
]


@pytest.mark.parametrize(
    ("data", "before", "after", "step"),
    [
        ("Drawn", 0, 1, 9),
        ("States", 0, 0, 9),
        pytest.param("Plain", 0, 0, 14, marks=pytest.mark.slow),
        pytest.param("States", 0, 0, 14, marks=pytest.mark.slow),
        pytest.param("Streamed", 0, 0, 14, marks=pytest.mark.slow),
        pytest.param("Plain", 1, 2, 8, marks=pytest.mark.slow),
        pytest.param("Drawn", 1, 2, 14, marks=pytest.mark.slow),
        pytest.param("Drawn", 2, 0, 7, marks=pytest.mark.slow),
        pytest.param("Points", 1, 0, 6, marks=pytest.mark.slow),
    ],
)
def test_killed_run_goes_on_with_other_workers_to_the_same_bits(data, before, after, step, unbroken, tmp_path):
    flags, workers = [*FIT, f"--data={data}"], "--data.num_workers={}"
    differences = unbroken([*flags, workers.format(after)], **OWN)
    folder = tmp_path / "killed"
    killed = firstlight(folder, *flags, workers.format(before), fault={"do": "SIGKILL", "step": step}, **OWN)
    assert killed.status == -9
    resumed = firstlight(folder, "fit", "--resume", workers.format(after), **OWN)
    assert resumed.status == 0, resumed.text
    assert [name for name in differences(folder) if "num_workers" not in name] == []


@pytest.mark.slow
def test_each_process_goes_on_with_its_own_share_of_a_stream(tmp_path):
    flags, whole, killed = [*FIT, "--data=Shares", "--trainer.devices=2"], tmp_path / "whole", tmp_path / "killed"
    together(whole, *flags, **OWN)
    together(killed, *flags, fault={"do": "SIGKILL", "step": 9}, **OWN)
    ended = together(killed, "fit", "--resume", **OWN)
    assert [end.status for end in ended] == [0, 0], ended[0].text
    assert [*differences(left_behind(whole), left_behind(killed))] == []


@pytest.mark.slow
def test_two_processes_are_killed_and_go_on_to_the_same_bits(unbroken, tmp_path):
    flags = [*FIT, "--data=Drawn", "--config=presets/ddp", "--data.num_workers=1"]
    differences = unbroken(flags, real=True, **OWN)
    folder = tmp_path / "killed"
    killed = firstlight(folder, *flags, fault={"do": "SIGKILL", "step": 9}, real=True, **OWN)
    assert killed.status
    resumed = firstlight(folder, "fit", "--resume", real=True, **OWN)
    assert resumed.status == 0, resumed.text
    assert differences(folder) == []


@pytest.mark.slow
def test_two_processes_train_on_what_one_does(tmp_path):
    flags = [*FIT, "--data=Drawn", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"]
    one = firstlight(tmp_path / "one", *flags, **OWN)
    two = together(tmp_path / "two", *flags, "--trainer.devices=2", **OWN)
    line = next(line for line in one.text.splitlines() if line.startswith("epoch 1/1")).rpartition("  ")[0]
    assert line in two[0].text


@pytest.mark.slow
def test_two_processes_score_what_one_does(tmp_path):
    assert firstlight(tmp_path, *FIT, "--data=Shaken", **OWN).status == 0
    for command in ("validate", "test"):
        one = firstlight(tmp_path, command, **OWN)
        two, _ = together(tmp_path, command, **OWN)
        assert one.text.splitlines()[-1] == two.text.splitlines()[-1]
