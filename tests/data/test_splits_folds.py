"""K-fold cross-validation: every example is held out exactly once, on every data module."""

import pytest
import torch

from firstlight import FashionMNIST, Houses, PlantedNeuron, Sine
from firstlight.data.splits import hold_out
from firstlight.errors import DataError

MODULES = {
    Sine: {"num_points": 50, "num_powers": 3},
    PlantedNeuron: {"num_examples": 40},
    Houses: {"num_examples": 40},
    FashionMNIST: {},
}


@pytest.fixture(params=MODULES, ids=lambda kind: kind.__name__)
def made(request, fashion_root):
    """Return a function that makes a data module ready for fitting."""
    root = {"root": str(fashion_root)} if request.param is FashionMNIST else {}

    def make(**options):
        data = request.param(**MODULES[request.param], **root, **options)
        data.setup("fit")
        return data

    return make


def rows(*splits):
    """Return the examples of splits, in an order of their own."""
    return sorted(
        (*x.flatten().tolist(), *y.flatten().tolist()) for split in splits for x, y in zip(*split, strict=True)
    )


def test_every_example_is_held_out_once_and_trained_on_otherwise(made):
    whole = made()
    folds = [made(fold=fold, num_folds=3) for fold in range(3)]
    assert rows(*(data.val for data in folds)) == rows(whole.train, whole.val)
    for data in folds:
        assert rows(data.train, data.val) == rows(whole.train, whole.val)
    sizes = [len(data.val[0]) for data in folds]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_drawn_by_the_seed(made):
    one, again, other = made(fold=0), made(fold=0), made(fold=0, seed=1)
    assert rows(one.val) == rows(again.val) != rows(other.val)
    assert len(one.val[0]) == pytest.approx((len(one.train[0]) + len(one.val[0])) / 5, abs=1)


def test_test_data_stays_apart(made):
    data, folded = made(), made(fold=1)
    for each in (data, folded):
        each.setup("test")
    assert rows(folded.test) == rows(data.test)


@pytest.mark.parametrize(
    ("fold", "num_folds", "message"),
    [
        (5, 5, "fold is 5: 5 folds are numbered from 0 to 4"),
        (2, 2, "fold is 2: 2 folds are numbered from 0 to 1"),
        (0, 1, "num_folds is 1: there must be at least 2"),
    ],
)
def test_fold_that_is_none_is_refused(fold, num_folds, message):
    with pytest.raises(ValueError, match=message):
        Houses(fold=fold, num_folds=num_folds)


def test_more_folds_than_examples_are_refused():
    few = torch.zeros(2, 1), torch.zeros(2, 1)
    with pytest.raises(DataError, match="4 examples cannot make 5 folds"):
        hold_out(0, 5, few, few, seed=0)
