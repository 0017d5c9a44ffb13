import csv
from pathlib import Path

import pytest
import torch

from firstlight import MLP, AutogradCubic, FashionMNIST, LinearRegression, Sine
from firstlight.engine.callbacks import Predictions
from firstlight.errors import UsageError


@pytest.fixture
def predict(quick_trainer):
    """Return a function that writes a model's predictions and reads them back, a dict a row."""

    def run(model, data):
        quick_trainer(callbacks=[Predictions(Path("deep/er/table.csv"))]).predict(model, data, return_predictions=False)
        return list(csv.DictReader(Path("deep/er/table.csv").read_text().splitlines()))

    return run


def test_every_example_is_a_row_in_order(predict):
    data = Sine(num_points=30, batch_size=7)
    rows = predict(AutogradCubic(), data)
    assert list(rows[0]) == ["index", "x", "y", "prediction"]
    assert [int(row["index"]) for row in rows] == list(range(29))
    x, y = data.test
    assert torch.equal(torch.tensor([float(row["x"]) for row in rows]), x.float().flatten())  # to the bit
    assert torch.equal(torch.tensor([float(row["y"]) for row in rows]), y.float().flatten())


def test_column_of_several_numbers_becomes_several_columns(predict):
    rows = predict(LinearRegression(num_features=3), Sine(num_points=10, num_powers=3))
    assert list(rows[0]) == ["index", "x1", "x2", "x3", "y", "prediction"]
    assert float(rows[0]["x2"]) == pytest.approx(float(rows[0]["x1"]) ** 2)


def test_class_column_is_followed_by_the_names(predict, fashion_root):
    rows = predict(MLP(hidden_dims=[4]), FashionMNIST(str(fashion_root), batch_size=8))
    assert list(rows[0]) == ["index", "truth", "class", "name", "probability"]
    assert [int(row["truth"]) for row in rows] == [*range(10), *range(10)]
    assert all(row["name"] == FashionMNIST.classes[int(row["class"])] for row in rows)
    assert all(0.1 <= float(row["probability"]) <= 1 for row in rows)


class Silent(AutogradCubic):
    def predict_step(self, batch, batch_idx):
        return self(batch[0])


def test_predictions_that_are_not_a_dict_are_refused(predict):
    with pytest.raises(UsageError, match=r"Silent\.predict_step must return a dict of columns to be written"):
        predict(Silent(), Sine(num_points=10))
