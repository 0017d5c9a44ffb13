import re

import pytest
import torch

from firstlight import InMemory
from firstlight.data.splits import random_shares
from firstlight.errors import DataError

x, y = torch.zeros(3, 2), torch.zeros(3)
WRONG = {
    "Filled.val is NoneType": None,
    "Filled.val is Tensor": x,
    "Filled.val is ndarray and ndarray": (x.numpy(), y.numpy()),
    "Filled.val is list and list": (x.tolist(), y.tolist()),
    "Filled.val is Tensor and Tensor and Tensor": (x, y, y),
    "Filled.val is 3 rows and 2 rows": (x, y[:2]),
    "Filled.val is 0 rows and 0 rows": (x[:0], y[:0]),
}


class Filled(InMemory):
    def __init__(self, split):
        super().__init__()
        self.split = split

    def setup(self, stage):
        self.val = self.split


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_split_is_refused_with_what_it_is(message):
    data = Filled(WRONG[message])
    data.setup("fit")
    rule = ": expected two tensors, inputs and targets, of as many rows"
    with pytest.raises(ValueError, match=re.escape(message + rule)):
        data.val_dataloader()


def test_random_shares_are_disjoint_and_of_the_sizes_asked_for():
    shares = random_shares(10, {"test": 0.2, "val": 0.3}, torch.Generator().manual_seed(0))
    assert {name: len(rows) for name, rows in shares.items()} == {"test": 2, "val": 3, "train": 5}
    assert sorted(torch.cat(list(shares.values())).tolist()) == list(range(10))
    with pytest.raises(DataError, match=r"^4 examples cannot be split with test_fraction 0\.1$"):
        random_shares(4, {"test": 0.1}, torch.Generator())
