"""A model gets what its annotations say: from a config, from a checkpoint of a run, and in Lightning's own way."""

import enum
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer

from firstlight import MLP, load
from firstlight.engine.runs.hyperparameters import from_plain, plain_hyperparameters
from firstlight.errors import CheckpointError, UsageError


class Size(enum.IntEnum):
    SMALL = 1
    BIG = 2


class Shape(NamedTuple):
    height: int = 28
    size: Size = Size.SMALL


@dataclass
class Block:
    sizes: list[Size] = field(default_factory=lambda: [Size.BIG])
    where: Path | None = None


class Annotated(LightningModule):
    def __init__(
        self,
        size: Size,
        betas: tuple[float, float],
        shape: Shape,
        block: Block,
        where: Path | str,
        by_size: dict[Size, int],
        layer: nn.Module | None = None,
        optimizer: Callable[[Iterable], Optimizer] | None = None,
        activation: type[nn.Module] = nn.ReLU,
        function: Callable[[int], int] | None = None,
    ):
        super().__init__()


VALUES = {
    "size": Size.BIG,
    "betas": (0.9, 0.999),
    "shape": Shape(3, Size.BIG),
    "block": Block([Size.SMALL], Path("x")),
    "where": Path("data"),
    "by_size": {Size.BIG: 3},
}


def nothing():
    return {}


def test_values_come_back_from_plain_ones_as_they_were():
    plain = plain_hyperparameters(Annotated, VALUES, nothing)
    torch.save(plain, "plain")
    assert torch.load("plain", weights_only=True) == plain
    saved = {name: plain[name] for name in VALUES}
    back = from_plain(Annotated, saved, "here")
    assert back == VALUES
    assert [type(value) for value in back.values()] == [type(value) for value in VALUES.values()]


def test_objects_are_saved_as_the_config_has_them_and_made_again():
    layer = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 1}}
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.5}}
    written = {"layer": layer, "optimizer": optimizer, "activation": "torch.nn.Tanh"}
    objects = {"layer": nn.Linear(2, 1), "optimizer": torch.optim.Adam, "activation": nn.Tanh}
    plain = plain_hyperparameters(Annotated, objects, lambda: written)
    assert {name: plain[name] for name in written} == written
    back = from_plain(Annotated, written, "here")
    assert (type(back["layer"]), back["layer"].in_features) == (nn.Linear, 2)
    assert back["optimizer"](back["layer"].parameters()).defaults["lr"] == 0.5
    assert back["activation"] is nn.Tanh


def test_object_that_the_config_does_not_describe_is_refused_with_what_to_do():
    with pytest.raises(UsageError) as raised:
        plain_hyperparameters(Annotated, {"net": nn.Linear(1, 1)}, nothing)
    first, second = str(raised.value).splitlines()
    assert first == "Annotated: the hyperparameter 'net' is of the class Linear, which no checkpoint can hold"
    assert second == "leave it out: self.save_hyperparameters(ignore=['net'])"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer", {"class_path": "subprocess.Popen", "init_args": {"args": "true"}}),
        ("optimizer", "os.system"),
        ("activation", "firstlight.models.mlp.nothing"),
        ("function", "os.system"),
    ],
)
def test_file_does_not_choose_what_is_called(name, value):
    with pytest.raises(CheckpointError, match="here"):
        from_plain(Annotated, {name: value}, "here")


def test_annotation_that_cannot_be_read_leaves_values_as_they_are():
    class Later(LightningModule):
        def __init__(self, size: "NotThere"):  # noqa: F821
            super().__init__()

    assert from_plain(Later, {"size": "BIG"}, "here") == {"size": "BIG"}


def test_hyperparameters_of_the_models_here_are_saved_as_they_are():
    model = MLP(hidden_dims=[4, 3])
    plain = plain_hyperparameters(MLP, model.hparams, nothing)
    assert pickle.dumps(plain) == pickle.dumps(dict(model.hparams))


OWN = """
import enum
from firstlight import LinearRegression

class Size(enum.Enum):
    SMALL = "s"
    BIG = "b"

class Sized(LinearRegression):
    def __init__(self, size: Size = Size.SMALL, pair: tuple[int, int] = (1, 2), num_features: int = 2):
        super().__init__(num_features)
        self.save_hyperparameters()
        assert isinstance(size, Size) and isinstance(pair, tuple)
"""


@pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")  # Lightning's own
def test_run_of_a_model_with_an_enum_is_loaded_by_name_and_by_lightning(did, monkeypatch):
    Path("sized.py").write_text(OWN)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "sized")
    did("fit", "--model=Sized", "--model.size=BIG", "--data=Houses", "--trainer.max_epochs=1", "--pictures=none")
    trained = load()
    again = LightningModule.load_from_checkpoint(trained.checkpoint)
    for model in (trained.model, again):
        assert (model.hparams["size"].name, model.hparams["pair"]) == ("BIG", (1, 2))
    did("test", "--ckpt_path", trained.checkpoint)
