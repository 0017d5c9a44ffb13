"""``load`` returns the model, the data and the config of a run, also of one that a plain Trainer made."""

import os
import sys
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from tests.repeated import first_quick

import firstlight
from firstlight import MLP, AutogradCubic, Batches, LinearRegression, Sine, SoftmaxRegression, load
from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint
from firstlight.errors import CheckpointError, FirstlightError, UsageError

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
QUICK_FIRST = sorted(CONFIGS, key=lambda path: path.stem not in ("legendre_cubic", "linear_regression", "mlp"))
RUN = "lightning_logs/version_0"  # what a Trainer calls its first run

NET = """
from torch import nn
from firstlight.tasks import Regression

class Net(Regression):
    def __init__(self, width: int = 3, lr: float = 0.1):
        super().__init__(lr)
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x)
"""


@pytest.fixture
def train(quick_trainer):
    """Return a function that trains with a plain Trainer, in ``lightning_logs/version_N``."""

    def run(model, data, *callbacks, max_epochs=3):
        logger = TensorBoardLogger(".", name="lightning_logs")
        trainer = quick_trainer(
            max_epochs=max_epochs,
            logger=logger,
            log_every_n_steps=1,
            enable_checkpointing=True,
            callbacks=list(callbacks),
        )
        trainer.fit(model, data)
        return trainer

    return run


@pytest.fixture
def edited(train):
    """Return a function that trains a cubic, changes keys of its checkpoint, and returns the file."""

    def run(**changes):
        train(AutogradCubic(), Sine(num_points=9), max_epochs=1)
        (path,) = Path(RUN).rglob("*.ckpt")
        content = {**load_checkpoint(path), **changes}
        save_checkpoint({key: value for key, value in content.items() if value is not None}, path)
        return path

    return run


def same(model, state):
    """Return whether a model has exactly these weights."""
    mine = model.state_dict()
    return mine.keys() == state.keys() and all(torch.equal(mine[name], state[name]) for name in mine)


def ready(config, root):
    """Return the model and the data module of a config, for an epoch of at least twenty steps."""
    config = yaml.safe_load(config.read_text())
    arguments = config["data"].get("init_args", {})
    images = config["data"]["class_path"] == "FashionMNIST"
    curve = config["data"]["class_path"] == "Sine" and "batch_size" not in arguments
    arguments |= {"repeats": 20 if images or curve else 1}
    arguments |= {"root": str(root)} if images else {}
    torch.manual_seed(config.get("seed_everything", 0))
    model = getattr(firstlight, config["model"]["class_path"])(**config["model"].get("init_args", {}))
    data = getattr(firstlight, config["data"]["class_path"])(**arguments)
    data.prepare_data()
    data.setup("fit")
    if optimizer := config.get("optimizer"):
        kind = getattr(torch.optim, optimizer["class_path"].rpartition(".")[2])
        model.configure_optimizers = lambda: kind(model.parameters(), **optimizer["init_args"])
    return model, data


@torch.no_grad()
def loss_of(model, data):
    """Return the validation loss, without a Trainer."""
    return sum(float(model.eval().loss(model(x), y)) * len(y) for x, y in data.val_dataloader())


@pytest.mark.parametrize("config", first_quick(3, QUICK_FIRST), ids=lambda path: path.stem)
def test_plain_loop_and_plain_trainer_train_the_same_model_which_can_be_loaded(config, fashion_root, quick_trainer):
    model, data = ready(config, fashion_root)
    before = loss_of(model, data)
    optimizer = model.train().configure_optimizers()
    torch.manual_seed(1)
    for x, y in data.train_dataloader():
        loss = model.loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss_of(model, data) < before

    trained, same_data = ready(config, fashion_root)
    trainer = quick_trainer(max_epochs=1, enable_checkpointing=True, num_sanity_val_steps=0, default_root_dir="run")
    torch.manual_seed(1)
    trainer.fit(trained, same_data)
    torch.testing.assert_close(trained.state_dict(), model.state_dict())

    (path,) = Path("run").rglob("*.ckpt")
    loaded = load(path)
    assert type(loaded.model) is type(model)
    assert type(loaded.data) is type(data)
    assert not loaded.model.training
    assert same(loaded.model, trained.state_dict())
    assert loaded.model.hparams == model.hparams
    assert loaded.data.hparams == data.hparams


def test_config_of_a_plain_trainers_run_names_model_and_data(train):
    model = LinearRegression(num_features=2, lr=0.01)
    train(model, Sine(num_points=30, num_powers=2))
    loaded = load(RUN)
    assert same(loaded.model, model.state_dict())
    assert loaded.checkpoint.parent == Path(RUN, "checkpoints")
    assert loaded.config == {
        "model": {
            "class_path": "firstlight.models.linear.LinearRegression",
            "init_args": {"num_features": 2, "lr": 0.01},
        },
        "data": {"class_path": "firstlight.data.synthetic.Sine", "init_args": dict(loaded.data.hparams)},
    }
    assert loaded.config["data"]["init_args"]["num_points"] == 30


def test_best_and_last_of_model_checkpoint_are_distinguished(train):
    model = AutogradCubic(lr=3e-4)  # too long a step: each epoch is worse than the one before
    best = ModelCheckpoint(monitor="loss/val", save_top_k=-1)
    train(model, Sine(num_points=30), best, ModelCheckpoint(filename="{step}"))
    assert load(RUN).checkpoint.name == Path(best.best_model_path).name
    assert "epoch=0" in load(RUN).checkpoint.name
    assert same(load(RUN, last=True).model, model.state_dict())
    Path(best.best_model_path).unlink()
    with pytest.raises(CheckpointError, match="names the best one: pass the path of a checkpoint"):
        load(RUN)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_best_is_named_by_the_newer_of_two_checkpoints_with_one_step(names, train):
    every, best = (f"{name}-{{step}}" for name in names)  # the first is written before the second has its score
    callbacks = ModelCheckpoint(filename=every), ModelCheckpoint(filename=best, monitor="loss/val", save_top_k=-1)
    train(AutogradCubic(lr=1e-5), Sine(num_points=30), *callbacks)
    for time, name in enumerate(names):
        os.utime(f"{RUN}/checkpoints/{name}-step=3.ckpt", (time, time))  # clocks of disks may be too slow to tell
    assert load(RUN).checkpoint.name == f"{names[1]}-step=3.ckpt"


def test_each_checkpoint_is_read_once(train, monkeypatch):
    every, newest = (
        ModelCheckpoint(filename="{step}", save_top_k=-1),
        ModelCheckpoint(filename="top", monitor="loss/val"),
    )
    train(AutogradCubic(lr=1e-5), Sine(num_points=30), every, newest)  # each epoch is better than the one before
    read, torch_load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda file, **how: read.append(file) or torch_load(file, **how))
    path = load(RUN).checkpoint
    files = [file for file in read if isinstance(file, Path)]
    assert path.name == "top.ckpt"
    assert sorted(files) == sorted(Path(RUN, "checkpoints").glob("*.ckpt"))
    read.clear()
    load(path)
    assert [file for file in read if isinstance(file, Path)] == [path]


def test_best_is_not_guessed_if_no_checkpoint_names_it(train):
    train(AutogradCubic(), Sine(num_points=9), ModelCheckpoint(save_weights_only=True, save_top_k=-1))
    with pytest.raises(CheckpointError, match=rf"no checkpoint in {RUN}/checkpoints names the best one"):
        load(RUN)
    assert "epoch=2" in load(RUN, last=True).checkpoint.name


def test_averaged_weights_are_loaded(train):
    model = AutogradCubic()
    train(model, Sine(num_points=30), EMAWeightAveraging(decay=0.5))
    loaded = load(RUN)
    assert same(loaded.model, model.state_dict())  # into which the callback puts the averages at the end
    assert not same(loaded.model, load_checkpoint(loaded.checkpoint)["current_model_state"])


def test_last_weights_are_the_stochastic_averages(quick_trainer):
    model, weights = AutogradCubic(), []
    averaging = StochasticWeightAveraging(swa_lrs=1e-5, swa_epoch_start=2)
    checkpoints = Checkpoints(folder="run")
    trainer = quick_trainer(max_epochs=4, enable_checkpointing=True, callbacks=[averaging, checkpoints])
    model.on_train_epoch_start = lambda: weights.append(model.coefficients.detach().clone())
    trainer.fit(model, Sine(num_points=30))
    mean = torch.stack(weights[1:]).mean(dim=0)  # at the start of each epoch from the second
    torch.testing.assert_close(load("run/last.ckpt").model.coefficients.detach(), mean)
    assert load_checkpoint("run/last.ckpt")["epoch"] == 3


def test_model_trained_without_a_data_module_has_none(train):
    model = AutogradCubic()
    model.validation_step = None
    train(model, Batches((torch.zeros(2, 1), torch.zeros(2, 1)), 2))
    assert load(RUN).data is None


def test_data_without_recorded_arguments_is_not_guessed(edited):
    assert load(edited(datamodule_hyper_parameters=None)).data is None


def test_model_of_another_package_is_loaded_if_the_package_is_allowed(train, tmp_path, monkeypatch):
    Path("mine").mkdir()
    Path("mine/net.py").write_text(NET)
    Path("mine/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    from mine.net import Net

    model = Net(width=5)
    train(model, Sine(num_points=30))
    assert same(load(RUN).model, model.state_dict())  # the program has imported it
    for name in ("mine", "mine.net"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(CheckpointError, match=r"'mine.net.Net', which is not imported .*\n.*FIRSTLIGHT_PACKAGES=mine$"):
        load(RUN)
    assert "mine" not in sys.modules
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "other, mine")
    assert same(load(RUN).model, model.state_dict())


@pytest.mark.parametrize("name", ["trap.Net", "firstlight_trap.Net", "os.path.Net"])
@pytest.mark.parametrize("key", ["model_class", "data_class"])
def test_module_that_only_a_file_names_is_not_imported(key, name, edited, tmp_path, monkeypatch):
    for module in ("trap", "firstlight_trap"):
        Path(f"{module}.py").write_text("open('executed', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match=name):
        load(edited(**{key: name}))
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("firstlight.models.mlp.MPL", r"there is no such LightningModule; did you mean 'MLP'\?"),
        ("firstlight.models.gone.Net", r"cannot be imported: No module named 'firstlight.models.gone'"),
        ("firstlight.engine.runs.folders.Run", "there is no such LightningModule"),
        ("firstlight.data.synthetic.Sine", "there is no such LightningModule"),
        ("Net", "'Net', which is not imported"),
        ("firstlight.models.linear.LinearRegression", "does not fit firstlight.models.linear.LinearRegression"),
        (None, "does not name its model's class"),
    ],
)
def test_class_that_cannot_be_imported_is_named(name, message, edited):
    path = edited(model_class=name)
    with pytest.raises(CheckpointError, match=message) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3


def test_model_is_on_the_cpu_whatever_the_default_device_is(train):
    model = AutogradCubic()
    train(model, Sine(num_points=9))
    with torch.device("meta"):
        loaded = load(RUN)
    assert same(loaded.model, model.state_dict())


def test_arguments_that_the_class_does_not_take_are_named(edited):
    path = edited(datamodule_hyper_parameters={"num_points": 1})
    with pytest.raises(CheckpointError, match=r"does not fit firstlight.data.synthetic.Sine: num_points must be at"):
        load(path)


def test_damaged_checkpoint_is_named(edited):
    path = edited()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"all checkpoints in .*version_0 are damaged: epoch=0-step=1.ckpt"):
        load(RUN)
    with pytest.raises(CheckpointError, match=r"epoch=0-step=1.ckpt is damaged"):
        load(path)


def test_missing_run_or_checkpoint_is_named():
    with pytest.raises(UsageError, match="no run in lightning_logs"):
        load()
    Path(RUN).mkdir(parents=True)
    with pytest.raises(CheckpointError, match=f"there is no checkpoint in {RUN}"):
        load(RUN)
    with pytest.raises(UsageError, match=r"no run 'lightning_logs/version_1' in lightning_logs"):
        load("lightning_logs/version_1")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint mine\.ckpt"):
        load("mine.ckpt")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint mine\.safetensors"):
        load("mine.safetensors")


@pytest.fixture
def exported():
    """Return a safetensors file of a model, and the model."""
    pytest.importorskip("safetensors", reason="safetensors is an extra")
    from firstlight.engine.runs.safetensors_files import to_safetensors

    model = MLP(num_features=4, hidden_dims=[3], batch_norm=True)
    config = {"model": {"class_path": "firstlight.MLP", "init_args": dict(model.hparams)}, "data": None}
    path = Path("model.safetensors")
    path.write_bytes(to_safetensors(model.state_dict(), config))
    return path, model


def test_safetensors_file_is_loaded_bit_identical(exported):
    path, model = exported
    loaded = load(path)
    assert same(loaded.model, model.state_dict())
    assert loaded.model.hparams == model.hparams
    assert loaded.data is None


def test_missing_package_is_named_with_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(FirstlightError, match=r'needs safetensors: pip install "firstlight\[export\]"'):
        load(exported[0])


def test_weights_keep_their_memory_layout(train, fashion_root):
    train(SoftmaxRegression(), firstlight.FashionMNIST(str(fashion_root)), max_epochs=1)
    assert load(RUN).model.W.stride() == SoftmaxRegression().W.stride()


def test_best_and_last_of_a_run_go_before_what_a_model_checkpoint_wrote(train):
    train(AutogradCubic(lr=1e-5), Sine(num_points=30), ModelCheckpoint(filename="{step}", save_top_k=-1))
    checkpoints = Path(RUN, "checkpoints")
    for name in ("best", "last"):
        (checkpoints / f"{name}.ckpt").write_bytes((checkpoints / "step=1.ckpt").read_bytes())
    assert load(RUN).checkpoint.name == "best.ckpt"
    assert load(RUN, last=True).checkpoint.name == "last.ckpt"
