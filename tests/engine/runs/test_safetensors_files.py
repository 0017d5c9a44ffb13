import os
from pathlib import Path

import pytest
import torch

from firstlight.errors import CheckpointError

pytest.importorskip("safetensors", reason="safetensors is an extra")

from safetensors.torch import save_file

from firstlight.engine.runs.safetensors_files import read_safetensors, to_safetensors

STATE = {"weight": torch.arange(6.0).reshape(2, 3).T, "bias": torch.tensor(2, dtype=torch.bfloat16)}
CONFIG = {"model": {"class_path": "firstlight.Neuron", "init_args": {"num_features": 3}}, "data": None}


@pytest.fixture
def path():
    """Return a file with two tensors and the description of a model."""
    path = Path("model.safetensors")
    path.write_bytes(to_safetensors(STATE, CONFIG))
    return path


def test_file_gives_back_the_tensors_and_the_description(path):
    checkpoint = read_safetensors(path)
    for name, value in STATE.items():
        assert checkpoint["state_dict"][name].dtype == value.dtype
        assert torch.equal(checkpoint["state_dict"][name], value)
    assert checkpoint["model_class"] == "firstlight.Neuron"
    assert checkpoint["hyper_parameters"] == {"num_features": 3}
    assert "data_class" not in checkpoint


def test_any_flipped_bit_is_noticed(path):
    content = path.read_bytes()
    for place in range(8, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            read_safetensors(path)


def test_cut_file_and_missing_file_are_named(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        read_safetensors(path)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint other\.safetensors"):
        read_safetensors(Path("other.safetensors"))


def test_file_larger_than_memory_is_refused_by_its_header(path):
    os.truncate(path, 0)
    os.truncate(path, 2**40)  # sparse: it takes no room
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        read_safetensors(path)


def test_content_that_is_not_written_yet_is_read_as_a_file_is(path):
    assert repr(read_safetensors(Path("other.safetensors"), path.read_bytes())) == repr(read_safetensors(path))


def test_file_of_another_program_is_refused(path):
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="does not name its model"):
        read_safetensors(path)
