import datetime as dt
import io
import os
import random
import zipfile
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch

from firstlight.engine.runs.checkpoint_files import PARTS, load_checkpoint, newest_valid_checkpoint, save_checkpoint
from firstlight.errors import CheckpointError

CONTENT = {"state_dict": {"weight": torch.arange(1000.0)}, "global_step": 7}


@pytest.fixture
def good():
    """Write a valid checkpoint as ``good.ckpt``, and return its bytes."""
    save_checkpoint(CONTENT, "good.ckpt")
    return Path("good.ckpt").read_bytes()


def test_checkpoint_is_loaded_as_it_was_saved(good):
    loaded = load_checkpoint("good.ckpt")
    assert loaded["global_step"] == 7
    assert torch.equal(loaded["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert [path.name for path in Path().iterdir()] == ["good.ckpt"]


@pytest.mark.parametrize("damage", ["empty", "cut in half", "cut by a byte", "text", "without its first byte"])
def test_damaged_checkpoint_is_named(damage, good):
    damaged = {
        "empty": b"",
        "cut in half": good[: len(good) // 2],
        "cut by a byte": good[:-1],
        "text": b"hello\n",
        "without its first byte": good[1:],
    }
    Path("bad.ckpt").write_bytes(damaged[damage])
    with pytest.raises(CheckpointError, match=r"checkpoint bad\.ckpt is damaged"):
        load_checkpoint("bad.ckpt")


def test_flipped_bit_in_a_weight_is_noticed(good):
    (tensor,) = [info for info in zipfile.ZipFile("good.ckpt").infolist() if info.file_size >= 4000]
    begin = good.index(CONTENT["state_dict"]["weight"].numpy().tobytes())
    chance = random.Random(0)
    for _ in range(40):
        damaged = bytearray(good)
        damaged[begin + chance.randrange(tensor.file_size)] ^= 1 << chance.randrange(8)
        Path("bad.ckpt").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint bad\.ckpt is damaged: the checksum of .* is wrong"):
            load_checkpoint("bad.ckpt")


def test_flipped_bit_anywhere_never_changes_what_is_loaded(good):
    chance = random.Random(1)
    for _ in range(200):
        damaged = bytearray(good)
        damaged[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        Path("bad.ckpt").write_bytes(damaged)
        try:
            loaded = load_checkpoint("bad.ckpt")
        except CheckpointError as error:
            message = str(error)
        else:  # nothing reads the byte of this bit
            message = "bad.ckpt"
            assert loaded["global_step"] == 7
            assert torch.equal(loaded["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
        assert "bad.ckpt" in message


class Code:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_a_checkpoint_is_not_executed(old_format):
    torch.save({"state_dict": {}, "code": Code()}, "bad.ckpt", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(CheckpointError, match=r"checkpoint bad\.ckpt"):
        load_checkpoint("bad.ckpt")
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [[], {}, {"weight": 1}, {"state_dict": [1]}, {"state_dict": {1: torch.zeros(1)}}])
def test_file_without_weights_is_named(content):
    torch.save(content, "bad.ckpt")
    with pytest.raises(CheckpointError, match=r"checkpoint bad\.ckpt (has no state_dict|holds a list)"):
        load_checkpoint("bad.ckpt")


@pytest.mark.parametrize("name", PARTS)
def test_part_of_another_type_is_refused_and_none_is_no_part(name):
    torch.save({"state_dict": {"w": torch.zeros(1)}, name: None}, "none.ckpt")
    assert name not in load_checkpoint("none.ckpt")
    torch.save({"state_dict": {"w": torch.zeros(1)}, name: "text"}, "text.ckpt")
    with pytest.raises(CheckpointError, match=f"checkpoint text.ckpt: {name} is a str, where a Trainer writes a "):
        load_checkpoint("text.ckpt")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrap", [dict, lambda weights: {"state_dict": weights}], ids=["bare", "wrapped"])
def test_state_dict_alone_is_read_without_the_prefix_of_a_wrapper(prefix, wrap):
    torch.save(wrap({f"{prefix}weight": torch.ones(2)}), "bare.ckpt")
    assert torch.equal(load_checkpoint("bare.ckpt")["state_dict"]["weight"], torch.ones(2))


def test_compressed_archive_is_refused_before_it_is_expanded(good):
    with zipfile.ZipFile("good.ckpt") as old, zipfile.ZipFile("bad.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(CheckpointError, match=r"bad\.ckpt is compressed"):
        load_checkpoint("bad.ckpt")


def test_view_that_repeats_its_values_is_read():
    torch.save({"state_dict": {"mask": torch.zeros(1).expand(1000, 1000)}}, "good.ckpt")
    assert load_checkpoint("good.ckpt")["state_dict"]["mask"].shape == (1000, 1000)


def test_tensor_that_claims_to_be_larger_than_its_storage_is_refused():
    torch.save({"state_dict": {"weight": torch.zeros(1).expand(10**12)}}, "bad.ckpt")
    with pytest.raises(CheckpointError, match=r"weight claims to be larger than the file"):
        load_checkpoint("bad.ckpt")


@pytest.mark.parametrize("path", ["none.ckpt", ".", "http://127.0.0.1:1/x.ckpt", "file:good.ckpt"])
def test_only_a_local_file_is_read(path, good):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(path)


def test_zip_file_of_another_program_is_named():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "hello")
    Path("bad.ckpt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"bad\.ckpt"):
        load_checkpoint("bad.ckpt")


def test_state_that_changes_its_kind_is_read_back_or_not_written(good):
    for value in (np.float64(0.5), np.arange(3), np.array(["a"]), dt.timedelta(1), Path("x"), {1}):
        save_checkpoint({**CONTENT, "state": value}, "good.ckpt")
        assert repr(load_checkpoint("good.ckpt")["state"]) == repr(value)
    written = Path("good.ckpt").read_bytes()
    for value, name in ((deque([1]), "a collections.deque"), (lambda: 0, "Can't "), (np.array([None]), "what could")):
        with pytest.raises(
            CheckpointError, match=rf"^good\.ckpt is not written: {name}.* tensors and plain values only$"
        ):
            save_checkpoint({**CONTENT, "state": value}, "good.ckpt")
    assert Path("good.ckpt").read_bytes() == written


def test_failed_write_leaves_the_old_checkpoint(good, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: 'good\.ckpt'"):
        save_checkpoint({"state_dict": {}}, "good.ckpt")
    assert Path("good.ckpt").read_bytes() == good
    assert [path.name for path in Path().iterdir()] == ["good.ckpt"]


def test_newest_valid_checkpoint_is_found(good):
    newest = newest_valid_checkpoint(Path())
    assert (newest.path, newest.step) == (Path("good.ckpt"), 7)
    save_checkpoint({**CONTENT, "global_step": 9}, "newer.ckpt")
    Path("newest.ckpt").write_bytes(good[:-1])
    assert newest_valid_checkpoint(Path()).path == Path("newer.ckpt")
    assert newest_valid_checkpoint(Path("nowhere")) is None
