import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from firstlight import MLP, AutogradCubic, FashionMNIST, LinearRegression, Sine
from firstlight.engine.callbacks import Predictions
from firstlight.engine.callbacks.predictions import _row_order
from firstlight.errors import UsageError


@pytest.fixture
def predict(quick_trainer):
    """Return a function that writes a model's predictions and reads them back, a dict a row."""

    def run(model, data):
        writer = Predictions(Path("deep/er/table.csv"))
        trainer = quick_trainer(callbacks=[writer])
        trainer.predict(model, data, return_predictions=False)
        writer.write(trainer)
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


class Returns(AutogradCubic):
    """Return something of each batch."""

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self.make(batch[0])


def returns(make):
    model = Returns()
    model.make = make  # no argument: it would be a hyperparameter
    return model


class Pair(NamedTuple):
    left: object
    right: object


SHAPES = {
    "a tensor": (lambda x: x, ["prediction"]),
    "a tuple": (lambda x: (x, x.expand(-1, 2)), ["prediction.1", "prediction.21", "prediction.22"]),
    "a list of tensors": (lambda x: [x, x], ["prediction.1", "prediction.2"]),
    "a named tuple": (lambda x: Pair(x, {"deep": x}), ["left", "right.deep"]),
    "nested mappings": (lambda x: {"a": {"b": x, "c": (x, x)}}, ["a.b", "a.c.1", "a.c.2"]),
    "lists and arrays": (
        lambda x: {"numbers": x[:, 0].tolist(), "words": ["w"] * len(x), "array": x.numpy(), "rows": x.tolist()},
        ["numbers", "words", "array", "rows"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_has_an_entry_for_each_example_is_a_column(shape, predict, capsys):
    make, names = SHAPES[shape]
    data = Sine(num_points=10, batch_size=3)
    rows = predict(returns(make), data)
    assert list(rows[0]) == ["index", *names]
    for name in set(names) - {"words"}:
        assert [float(row[name]) for row in rows] == pytest.approx(data.test[0].flatten().tolist())
    assert capsys.readouterr().err == ""


def test_what_is_no_column_is_left_out_and_named(predict, capsys):
    odd = {
        "loss": lambda x: x.mean(),
        "size": len,
        "thing": lambda _: object(),
        "short": lambda x: x[:2],
        "sometimes": lambda x: x if len(x) == 12 else None,
    }
    data = Sine(num_points=30, batch_size=3)  # batches of 12, 12 and 5
    rows = predict(returns(lambda x: {name: of(x) for name, of in odd.items()} | {"y": x}), data)
    assert list(rows[0]) == ["index", "y"]
    assert len(rows) == 29
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: table.csv is without loss (Tensor), size (int), thing (object), ")
    assert "short (2 entries in a batch of " in line
    assert "sometimes (not in all batches)" in line


VARYING = {
    "lists": lambda x: [[number] * number for number in range(len(x))],
    "texts": lambda x: [["é", "b"][: number % 3] for number in range(len(x))],
    "tensors": lambda x: [torch.arange(number % 4) for number in range(len(x))],
    "boxes": lambda x: [{"box": torch.zeros(number, 2), "of": "x"} for number in range(len(x))],
    "padded": lambda x: x.expand(-1, len(x)),
    "nothing": lambda x: [[] for _ in x],
}


@pytest.mark.parametrize("kind", VARYING)
def test_entries_of_several_lengths_are_written_as_json(kind, predict, capsys):
    rows = predict(returns(VARYING[kind]), Sine(num_points=30, batch_size=3))  # batches of 12, 12 and 5
    assert list(rows[0]) == ["index", "prediction"]
    x = torch.zeros(12, 1)
    expected = [part.tolist() if isinstance(part, torch.Tensor) else part for part in VARYING[kind](x)]
    found = [json.loads(row["prediction"]) for row in rows]
    assert len(found) == 29
    if kind == "boxes":
        assert found[3] == {"box": [[0, 0]] * 3, "of": "x"}
    elif kind == "padded":
        assert [len(each) for each in found] == [12] * 24 + [5] * 5
    else:
        assert found == [*expected, *expected, *expected[:5]]
    assert capsys.readouterr().err == ""


def test_predictions_without_a_column_are_refused(predict):
    message = r"Returns\.predict_step returned nothing with an entry for each example: prediction \(int\)"
    with pytest.raises(UsageError, match=message):
        predict(returns(len), Sine(num_points=10))


@pytest.mark.parametrize("collect", [list, lambda loaders: dict(zip("ab", loaders, strict=True))])
def test_rows_of_several_loaders_say_which(collect, predict):
    class Two(LightningDataModule):
        def predict_dataloader(self):
            sets = [TensorDataset(torch.arange(float(size))[:, None]) for size in (3, 2)]
            return collect([DataLoader(each, batch_size=2) for each in sets])

    rows = predict(returns(lambda x: x), Two())
    assert [row["dataloader"] + row["prediction"] for row in rows] == ["00", "01", "02", "10", "11"]


def test_rows_of_several_processes_are_in_the_order_of_the_data():
    first = {"dataloader": torch.tensor([0, 0, 1]), "y": [0, 2, 3]}
    second = {"dataloader": torch.tensor([0, 1]), "y": [1, 4]}
    values = [*first["y"], *second["y"]]
    assert [values[row] for row in _row_order([first, second])] == [0, 1, 2, 3, 4]


MODEL = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

class Own(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return self(batch["x"]).mean()

    def validation_step(self, batch, batch_idx):
        self.log("loss/val", self(batch["x"]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Named(LightningDataModule):
    def train_dataloader(self):
        return DataLoader([{"y": torch.ones(1), "x": torch.ones(1)}] * 4, 2)

    val_dataloader = predict_dataloader = train_dataloader
"""


def test_batches_of_foreign_data_are_exported_or_explained(did, complaint, monkeypatch):
    Path("own.py").write_text(MODEL)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "own")
    did("fit", "--model=own.Own", "--data=own.Named", "--trainer.max_epochs=1")
    assert "outputs differ by at most" in did("export", "--format=safetensors")
    status, text = complaint("predict", "--data=own.Named")
    assert status == 2
    assert text.startswith("the model has no predict_step, and its forward does not take a batch as it is: linear(): ")
    assert text.endswith("(own.py, line 12)")
