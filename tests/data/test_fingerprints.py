import subprocess
import sys

import numpy as np
import pytest
import torch

from firstlight.data.fingerprints import fingerprint

X = torch.arange(12.0).reshape(3, 4)
CHANGED = {
    "value": torch.where(X == 5, 6, X),
    "order": X.flip(0),
    "shape": X.reshape(4, 3),
    "type": X.double(),
    "length": X[:2],
    "array": X.numpy(),
}


@pytest.mark.parametrize("change", CHANGED)
def test_whatever_changes_shows(change):
    assert fingerprint([CHANGED[change], 1]) != fingerprint([X, 1])


def test_it_does_not_depend_on_how_values_lie_in_memory():
    assert fingerprint(X.T.contiguous().T) == fingerprint(torch.cat([X, X], 1)[:, :4]) == fingerprint(X)
    assert fingerprint(X.clone().requires_grad_()) == fingerprint(X)


def test_containers_are_told_apart():
    values = [[1, [2, 3]], [[1, 2], 3], [1, 2, 3], (1, 2, 3), {"a": 1}, {"b": 1}, ["a1"], [b"a1"], [None], []]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint({"x": X, "y": np.float32(2)}) == fingerprint({"x": X.clone(), "y": np.float32(2)})


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.bool, torch.complex64, torch.int8])
def test_tensors_of_any_type_have_one(kind):
    assert fingerprint(X.to(kind)) != fingerprint(X.flip(0).to(kind)) or kind is torch.bool
    assert fingerprint(torch.tensor(1).to(kind)) != fingerprint(torch.tensor(0).to(kind))
    assert fingerprint(torch.empty(0).to(kind))


@pytest.mark.slow
def test_another_process_finds_the_same():
    code = "from firstlight.data.fingerprints import fingerprint as f; print(f([{'a': object()}, 'b', {1: 2.5}]))"
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found.strip() == fingerprint([{"a": object()}, "b", {1: 2.5}])
