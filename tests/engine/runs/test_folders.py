import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firstlight.engine.runs import folders
from firstlight.engine.runs.folders import Run, claim_run_folder, find_run, list_runs
from firstlight.errors import CheckpointError, UsageError


def make(name, *, seconds, trained=True):
    """Make a run that started at a time, and whose files say another."""
    run = claim_run_folder(Path(), name)
    run.config.write_text("seed_everything: 0\n")
    if trained:
        run.checkpoints.mkdir()
        run.last.touch()
        (run.folder / "run.json").write_text(json.dumps({"start": f"2026-01-01T00:00:{seconds:02}.000+00:00"}))
    os.utime(run.config, (100 - seconds, 100 - seconds))
    return run


def test_runs_with_one_name_are_numbered():
    assert [claim_run_folder(Path(), "mlp").folder for _ in range(3)] == [
        Path("lightning_logs/mlp", f"version_{number}") for number in range(3)
    ]


def test_new_run_has_the_next_number():
    Path("lightning_logs/mlp/version_7").mkdir(parents=True)
    Path("lightning_logs/mlp/version_old").mkdir()
    assert claim_run_folder(Path(), "mlp").version == 8


def test_link_to_nowhere_in_place_of_a_folder_is_named_and_not_waited_for():
    Path("lightning_logs").mkdir()
    Path("lightning_logs/mlp").symlink_to("gone")
    with pytest.raises(FileExistsError, match="mlp"):
        claim_run_folder(Path(), "mlp")


def test_runs_are_listed_by_start():
    make("mlp", seconds=3)
    make("neuron", seconds=1)
    make("mlp", seconds=2)
    assert [run.name for run in list_runs(Path())] == ["neuron/version_0", "mlp/version_1", "mlp/version_0"]


@pytest.mark.parametrize("start", ["2999-01-01T00:00:00.000+00:00", "tomorrow"])
def test_run_of_a_clock_that_was_wrong_is_not_the_latest_for_ever(start, firstlight):
    for seconds, name in enumerate(("neuron", "mlp", "mlp")):
        make(name, seconds=seconds)
    Path("lightning_logs/mlp/version_0/run.json").write_text(json.dumps({"start": start}))
    assert [run.name for run in list_runs(Path())] == ["mlp/version_0", "neuron/version_0", "mlp/version_1"]
    assert "mlp/version_1" in firstlight("test").err  # whose checkpoint is empty
    assert "mlp/version_1" in firstlight("fit", "--resume").err


def test_run_of_a_machine_whose_clock_is_a_little_fast_is_the_latest():
    for seconds, name in enumerate(("neuron", "mlp")):
        make(name, seconds=seconds)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    Path("lightning_logs/neuron/version_0/run.json").write_text(json.dumps({"start": soon.isoformat()}))
    assert [run.name for run in list_runs(Path())] == ["mlp/version_0", "neuron/version_0"]


def test_runs_without_a_start_are_in_the_order_of_their_versions():
    for version in (0, 10, 9):
        Path(f"lightning_logs/mlp/version_{version}").mkdir(parents=True)
    assert [run.version for run in list_runs(Path(), "mlp")] == [0, 9, 10]


def test_folder_that_cannot_be_read_is_left_out_and_named_once(monkeypatch, capsys):
    make("mlp", seconds=1)
    make("secret", seconds=2)
    Path("lightning_logs/file").write_text("no folder")
    read = os.scandir

    def refuse(folder):
        if Path(folder).name == "secret":
            raise PermissionError(13, "Permission denied")
        return read(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [run.name for run in [*list_runs(Path()), *list_runs(Path())]] == ["mlp/version_0"] * 2
    assert capsys.readouterr().err == "warning: lightning_logs/secret is left out: Permission denied\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"status": [1], "start": 1, "best": [], "scores": 3, "commands": "x", "versions": null, "host": {}}',
        "[" * 100_000,
        '"\\ud800"',
        "[1]",
        "",
    ],
)
def test_receipt_of_another_shape_is_an_empty_one(text):
    run = make("mlp", seconds=1)
    (run.folder / "run.json").write_text(text)
    assert run.read_receipt() == {}


def test_reference_finds_a_run():
    first, second, other = (make(name, seconds=n) for n, name in enumerate(("mlp", "mlp", "neuron")))
    assert find_run(Path()) == other
    assert find_run(Path(), "mlp") == second
    assert find_run(Path(), "mlp/version_0") == first
    assert find_run(Path(), str(first.folder)) == first
    assert find_run(Path(), str(first.folder.absolute())).folder == first.folder.absolute()


def test_latest_run_is_one_that_trained():
    trained = make("mlp", seconds=1)
    make("mlp", seconds=2, trained=False)
    assert find_run(Path(), "mlp") == trained
    assert find_run(Path()) == trained


@pytest.mark.parametrize("reference", ["neuron", "mlp/version_9", "..", ".", "/", "*"])
def test_missing_run_is_named(reference):
    make("mlp", seconds=1)
    with pytest.raises(UsageError, match=r"no run '.+' in lightning_logs"):
        find_run(Path(), reference)


def test_checkpoint_knows_its_run(monkeypatch):
    run = make("mlp", seconds=1)
    assert folders.run_of_checkpoint(run.last).folder == run.folder.absolute()
    Path("checkpoints").mkdir()
    assert folders.run_of_checkpoint(Path("checkpoints/last.ckpt")) is None
    assert folders.run_of_checkpoint(Path("last.ckpt")) is None
    monkeypatch.chdir(run.checkpoints)
    assert folders.run_of_checkpoint(Path("last.ckpt")).config.is_file()


def test_path_is_relative_only_below_the_working_directory(tmp_path):
    assert str(Run(tmp_path / "lightning_logs/mlp/version_0")) == "lightning_logs/mlp/version_0"
    assert folders.relative_to_cwd(tmp_path.parent) == tmp_path.parent


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", ", line 1: expected the node content"), (None, " cannot be read: No such file")]
)
def test_config_that_cannot_be_read_is_named(text, message):
    run = make("mlp", seconds=1)
    run.config.unlink()
    if text:
        run.config.write_text(text)
    with pytest.raises(CheckpointError, match=rf"version_0/config\.yaml{message}"):
        run.read_config()


def test_folder_that_a_shell_completes_is_found_and_a_renamed_one_is_told():
    run = make("mlp", seconds=1)
    assert find_run(Path("elsewhere"), "lightning_logs/mlp/").folder == run.folder.absolute()
    run.folder.rename("lightning_logs/mlp/good")
    with pytest.raises(UsageError, match="the folder of a run is called version_N"):
        find_run(Path(), "lightning_logs/mlp/good")
    Path("lightning_logs/mlp/good").rename("copy")
    with pytest.raises(UsageError, match=r"^no run 'copy' in lightning_logs; the folder of a run is called version_N$"):
        find_run(Path(), "copy")
