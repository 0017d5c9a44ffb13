"""What goes wrong while a run is under way costs it nothing that was saved."""

import os
import signal
import time

import pytest
import torch
from harness import firstlight, parts_left, start, the_run, tiny

from firstlight.engine.runs.checkpoint_files import load_checkpoint

CUBIC = [*tiny("autograd_cubic"), "--checkpoint.every_n_steps=3"]


def checkpoints(folder):
    return {path.name: load_checkpoint(path) for path in folder.glob("lightning_logs/*/*/*/*.ckpt")}


def error_of(text):
    """Return the lines of the message, which is all that may be said."""
    assert "Traceback" not in text
    return text[text.index("error: ") :].splitlines()


@pytest.mark.parametrize("step", [4, 23])
def test_weights_that_are_no_numbers_end_the_run_before_they_are_saved(step, tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "nan", "step": step})
    assert ended.status == 1
    assert len(error_of(ended.text)) == 3
    assert "the last good checkpoint is" in ended.text
    saved = checkpoints(tmp_path)
    assert "last.ckpt" in saved
    for content in saved.values():
        assert content["global_step"] <= step
        assert torch.isfinite(content["state_dict"]["coefficients"]).all()


def test_full_disk_ends_the_run_in_a_line_and_leaves_whole_checkpoints(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "full", "step": 7})
    assert ended.status == 1
    assert len(error_of(ended.text)) == 1
    assert "File too large" in ended.text
    assert checkpoints(tmp_path)["last.ckpt"]["global_step"] == 6
    assert not parts_left(tmp_path)
    assert firstlight(tmp_path, "fit", "--resume").status == 0


def test_folder_that_can_no_longer_be_written_ends_the_run_in_a_line(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "block", "step": 4})
    assert ended.status == 1
    assert len(error_of(ended.text)) == 1
    assert "checkpoints" in error_of(ended.text)[0]
    (before,) = tmp_path.glob("lightning_logs/*/*/before")
    assert {path.name: load_checkpoint(path)["global_step"] for path in before.iterdir()} == {"last.ckpt": 3}


def test_folder_that_is_moved_away_ends_the_run_in_a_line_and_is_not_made_again(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "move", "step": 4})
    assert ended.status == 1
    folder = "lightning_logs/autograd_cubic/version_0"
    assert error_of(ended.text) == [f"error: {folder} is gone: it was moved or removed while the run was training"]
    assert not (tmp_path / folder).exists()
    assert (tmp_path / "moved/config.yaml").exists()


@pytest.mark.parametrize("content", ["half", "flipped"])
def test_damaged_checkpoint_is_refused_in_a_line_with_its_name_and_what_is_left(content, tmp_path):
    assert firstlight(tmp_path, *CUBIC).status == 0
    last = the_run(tmp_path) / "checkpoints/last.ckpt"
    good = last.read_bytes()
    flipped = bytearray(good)
    weights = load_checkpoint(last)["state_dict"]["coefficients"].numpy().tobytes()
    flipped[good.index(weights) + 3] ^= 1
    last.write_bytes(flipped if content == "flipped" else good[: len(good) // 2])
    for words in (["fit", "--resume"], ["test", "--ckpt_path=last"]):
        ended = firstlight(tmp_path, *words)
        first, *rest = error_of(ended.text)
        assert ended.status == 1
        assert first.startswith(f"error: checkpoint {last.relative_to(tmp_path)} is damaged")
        assert len(rest) <= 2
    assert firstlight(tmp_path, "test").status == 0  # the best is whole


def test_runs_that_start_together_end_in_folders_of_their_own(tmp_path):
    waits = [start(tmp_path, *CUBIC) for _ in range(2)]
    assert [wait().status for wait in waits] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "lightning_logs/autograd_cubic").iterdir()) == [
        "version_0",
        "version_1",
    ]
    assert len(list(tmp_path.glob("lightning_logs/*/*/events.out.tfevents.[1-9]*"))) == 2


def test_run_that_is_being_trained_is_left_alone_and_its_killed_one_is_not(tmp_path):
    first = start(tmp_path, *CUBIC, fault={"do": "SIGSTOP", "step": 7})
    while os.waitpid(first.pid, os.WUNTRACED | os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    second = firstlight(tmp_path, "fit", "--resume")
    os.kill(first.pid, signal.SIGKILL)
    assert first().status == -9
    assert second.status == 2
    assert error_of(second.text)[0].startswith("error: autograd_cubic/version_0 is being trained by another process")
    assert firstlight(tmp_path, "fit", "--resume").status == 0
