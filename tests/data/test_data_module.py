import pytest
from own_data import Points

from firstlight import InMemory


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"fold": 0, "num_folds": 1}, "num_folds is 1: there must be at least 2"),
        ({"fold": 5, "num_folds": 5}, "fold is 5: 5 folds are numbered from 0 to 4"),
    ],
)
def test_fold_that_there_is_not_is_refused(arguments, reason):
    class Data(InMemory):
        def setup(self, stage):
            """Nothing."""

    with pytest.raises(ValueError, match=reason):
        Data(**arguments)


def test_the_same_batches_come_again_where_a_model_is_to_overfit(quick_trainer):
    data = Points()
    data.setup("fit")
    data.trainer = quick_trainer(overfit_batches=2)
    assert data.train_dataloader().order.is_fixed
