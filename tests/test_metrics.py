import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from firstlight.metrics import Accuracy


@pytest.mark.parametrize("shape", [(), (4, 3)])
def test_accuracy_is_that_of_torchmetrics_to_the_bit(shape):
    ours, theirs = Accuracy(), MulticlassAccuracy(10, average="micro")
    for size in (70, 70, 13):
        logits, y = torch.randn(size, 10, *shape), torch.randint(10, (size, *shape))
        ours.update(logits, y)
        theirs.update(logits, y)
    assert 0 < ours.compute() < 1
    assert torch.equal(ours.compute(), theirs.compute())
