import re

import pytest
import torch

from firstlight import InMemory

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
