"""A run is resumed in the middle of an epoch, with each of Lightning's callbacks: to the same bits, or not at all."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import lightning.pytorch.callbacks
import pytest
import torch
from tests.faults.harness import differences
from tests.repeated import first_quick

OWN = '''
import os, random, signal
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LambdaCallback
from torchmetrics import MaxMetric
from firstlight import Regression

class OwnNetwork(Regression):
    """A backbone and a head; it gets a signal in the batch with the number STOP_AT."""

    def __init__(self, lr: float = 0.003) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        self.head = torch.nn.Linear(3, 1)

    flops_per_batch = 1

    def forward(self, x):
        return self.head(self.backbone(x))

    def training_step(self, batch, batch_idx):
        if self.trainer.fit_loop.total_batch_idx == int(os.environ.get("STOP_AT", -1)):
            signal.raise_signal(signal.SIGTERM)
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=self.lr, momentum=0.9)

class DrawsInHooks(OwnNetwork):
    """It draws where an epoch begins and on a batch's way to the device, keeps a score over all epochs, and counts."""

    def __init__(self, lr: float = 0.003) -> None:
        super().__init__(lr)
        self.highest = MaxMetric()
        self.register_buffer("batches", torch.zeros(()))

    def on_train_start(self):
        self.highest.reset()

    def on_train_epoch_start(self):
        self.log("shift", 0.1 * random.random())
        self.shift = 0.1 * torch.rand(1)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return (batch[0] + self.shift * torch.randn(2), batch[1]) if self.trainer.training else batch

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.batches += 1
        self.log("batches", self.batches)

    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.highest(1.0 if self.current_epoch < 2 else 0.5)
        self.log("highest", self.highest.compute())

class BringsCallbacks(OwnNetwork):
    """Its callbacks are its own."""

    def configure_callbacks(self):
        return [GradientAccumulationScheduler({2: 2}), LambdaCallback(on_fit_start=lambda *_: None)]

class ByHand(OwnNetwork):
    """It steps by hand, with the gradients of three batches."""

    def __init__(self, lr: float = 0.003) -> None:
        super().__init__(lr)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        optimizer, each_time = self.optimizers()
        each_time.step()
        if batch_idx % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=self.lr / 100) for part in (self.backbone, self.head)]

def batch_size(batch):
    return len(batch[0])
'''
SMALL = (
    "fit",
    "--model=OwnNetwork",
    "--data=Houses",
    "--data.num_examples=95",
    "--trainer.max_epochs=4",
    "--pictures=none",
)
ABSTRACT = {"BaseFinetuning", "BasePredictionWriter", "Callback", "Checkpoint", "ProgressBar"}
REFUSED = {
    "BatchSizeFinder": [],
    "LearningRateFinder": [],
    "ModelPruning": ["pruning_fn=l1_unstructured", "amount=0.5"],
    "SpikeDetection": [],
}
RESUMED = {
    "BackboneFinetuning": ["unfreeze_backbone_at_epoch=1", "train_bn=false"],
    "DeviceStatsMonitor": [],
    "EarlyStopping": ["monitor=loss/val"],
    "EMAWeightAveraging": ["update_starting_at_step=10"],
    "GradientAccumulationScheduler": ["scheduling={2: 2}"],
    "LambdaCallback": [],
    "LearningRateMonitor": [],
    "ModelCheckpoint": ["monitor=loss/val", "dirpath=more"],
    "ModelSummary": [],
    "OnExceptionCheckpoint": ["dirpath=more"],
    "RichModelSummary": [],
    "RichProgressBar": [],
    "StochasticWeightAveraging": ["swa_lrs=0.01", "swa_epoch_start=1"],
    "ThroughputMonitor": ["batch_size_fn=resumed_models.batch_size"],
    "Timer": ["duration=00:01:00:00"],
    "TQDMProgressBar": [],
    "WeightAveraging": [],
}


def with_callback(name):
    arguments = (RESUMED | REFUSED)[name]
    return [f"--trainer.callbacks={name}", *(f"--trainer.callbacks.{argument}" for argument in arguments)]


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    """Let configs name the model above."""
    Path("resumed_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "resumed_models")


def last(name):
    return torch.load(f"lightning_logs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)


def receipt(name):
    return json.loads(Path(f"lightning_logs/{name}/version_0/run.json").read_text())


def curves(name):
    return Path(f"lightning_logs/{name}/version_0/metrics.csv").read_text()


def test_every_callback_of_lightning_is_tried():
    assert set(lightning.pytorch.callbacks.__all__) == ABSTRACT | REFUSED.keys() | RESUMED.keys()


QUICK = "BackboneFinetuning", "StochasticWeightAveraging"
HERE = [name for name in RESUMED if find_spec("rich") or not name.startswith("Rich")]


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HERE]
)
def test_run_goes_on_in_mid_epoch_to_the_same_bits(name, did, firstlight, monkeypatch):
    did(*SMALL, "--name=whole", *with_callback(name))
    shutil.rmtree("more", ignore_errors=True)
    monkeypatch.setenv("STOP_AT", "24")  # in the third of four epochs
    assert firstlight(*SMALL, "--name=stopped", *with_callback(name)).status == 143
    assert 20 < last("stopped")["global_step"] < 30  # in the third of four epochs
    monkeypatch.delenv("STOP_AT")
    did("fit", "--resume=stopped")
    whole, resumed = last("whole"), last("stopped")
    for checkpoint in (whole, resumed):
        for key in ("Timer", "OnExceptionCheckpoint", "ModelCheckpoint"):  # times and paths
            checkpoint["callbacks"] = {k: v for k, v in checkpoint["callbacks"].items() if key not in k}
    assert list(differences(whole, resumed)) == []


MORE = ("BringsCallbacks", "24"), ("DrawsInHooks", "22"), ("ByHand", "26")


@pytest.mark.filterwarnings("ignore:.*It will use the implementation from `LightningModule` instance")
@pytest.mark.parametrize(
    ("name", "at"),
    [("DrawsInHooks", "26"), ("ByHand", "22"), *(pytest.param(*more, marks=pytest.mark.slow) for more in MORE)],
)
def test_model_of_ones_own_goes_on_in_mid_epoch_to_the_same_bits(name, at, did, firstlight, monkeypatch):
    flags = [*SMALL, f"--model={name}", "--model.lr=0.01", "--logger=csv", "--trainer.log_every_n_steps=1"]
    did(*flags, "--name=whole")
    monkeypatch.setenv("STOP_AT", at)
    assert firstlight(*flags, "--name=stopped").status == 143
    monkeypatch.delenv("STOP_AT")
    did("fit", "--resume=stopped")
    assert list(differences(last("whole"), last("stopped"))) == []
    assert curves("whole") == curves("stopped")
    assert last("whole")["scores"].get("highest", 1.0) == 1.0


SETTINGS = "--trainer.precision=bf16-true", "--trainer.precision=64-true", "--lr_scheduler=StepLR"


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["EMAWeightAveraging", "StochasticWeightAveraging"])
def test_run_with_other_settings_goes_on_with_the_same_averages(name, settings, did, firstlight, monkeypatch):
    flags = [*SMALL, *with_callback(name), settings]
    flags += ["--lr_scheduler.step_size=1"] if settings == SETTINGS[-1] else []
    did(*flags, "--name=whole")
    monkeypatch.setenv("STOP_AT", "24")
    assert firstlight(*flags, "--name=stopped").status == 143
    monkeypatch.delenv("STOP_AT")
    did("fit", "--resume=stopped")
    assert list(differences(last("whole"), last("stopped"))) == []


@pytest.mark.parametrize(
    "name", [*list(REFUSED)[:1], *(pytest.param(name, marks=pytest.mark.slow) for name in list(REFUSED)[1:])]
)
def test_callback_that_cannot_be_resumed_is_refused(name, did, complaint):
    did(*SMALL, "--trainer.max_epochs=1", "--name=mine")
    status, message = complaint("fit", "--resume=mine", "--trainer.max_epochs=2", *with_callback(name))
    assert status == 2
    assert message.startswith(f"trainer.callbacks: a run with {name} cannot be resumed: it ")
    did("fit", "--resume=mine", "--trainer.max_epochs=2")  # the run is as it was


def test_run_that_cannot_be_resumed_says_so_when_it_is_stopped(firstlight, complaint, monkeypatch):
    monkeypatch.setenv("STOP_AT", "4")
    answer = firstlight(*SMALL, *with_callback("ModelPruning"))
    assert answer.status == 143
    reason = "a run with ModelPruning cannot be resumed: it keeps its masks out of checkpoints: start a new run"
    assert f"after step 5; {reason}" in answer.err
    _, message = complaint("reproduce", "default")
    assert message.endswith(f" did not finish (stopped); {reason}")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [5, 12])  # with too few, none is found
def test_run_with_a_finder_goes_on_after_a_stop(steps, firstlight, did, monkeypatch):
    monkeypatch.setenv("STOP_AT", "14")
    answer = firstlight(*SMALL, *with_callback("LearningRateFinder"), f"--trainer.callbacks.num_training_steps={steps}")
    assert (answer.status, answer.err.partition("; ")[2]) == (
        143,
        "go on with: firstlight fit --resume default/version_0\n",
    )
    monkeypatch.delenv("STOP_AT")
    did("fit", "--resume", "default/version_0")


STOPPING = ("--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=loss/val")
AT_ONCE = ("--trainer.callbacks.min_delta=1e9", "--trainer.callbacks.patience=1")


def test_run_that_was_stopped_early_has_nothing_left_to_do(did):
    did(*SMALL, "--name=mine", *STOPPING, *AT_ONCE)
    files = {path: path.read_bytes() for path in Path("lightning_logs/mine/version_0/checkpoints").iterdir()}
    out = did("fit", "--resume=mine", "--trainer.max_epochs=9")
    assert "there was nothing left to do: it was stopped early (EarlyStopping: patience exhausted)" in out
    assert files == {path: path.read_bytes() for path in files}
    assert " finished early " in did("runs")


AVERAGED = with_callback("StochasticWeightAveraging")  # it has an epoch more, for the statistics of layers


@pytest.mark.parametrize(
    ("at", "flags"),
    [("19", [*STOPPING, *AT_ONCE]), *(pytest.param(at, AVERAGED, marks=pytest.mark.slow) for at in ("39", "49"))],
)
def test_run_that_is_stopped_at_its_last_step_ends_once_it_is_resumed(at, flags, did, firstlight, monkeypatch):
    did(*SMALL, "--name=whole", *flags)
    monkeypatch.setenv("STOP_AT", at)
    assert firstlight(*SMALL, "--name=stopped", *flags).status == 143
    assert receipt("stopped")["status"] == "stopped"
    monkeypatch.delenv("STOP_AT")
    did("fit", "--resume=stopped")
    assert list(differences(last("whole"), last("stopped"))) == []
    for key in ("status", "scores", "step", "epochs", "best", "stopped_by"):
        assert receipt("stopped")[key] == receipt("whole")[key], key
    assert receipt("stopped")["status"] == "finished"


@pytest.mark.parametrize(
    ("change", "epochs"), [(["--trainer.callbacks.patience=2"], 2), (["--trainer.callbacks=null"], 3)]
)
def test_run_goes_on_once_it_is_changed_what_had_stopped_it(change, epochs, did):
    did(*SMALL, "--name=mine", *STOPPING, "--trainer.callbacks.min_delta=1e9", "--trainer.callbacks.patience=1")
    did("fit", "--resume=mine", *change)
    assert last("mine")["epoch"] == epochs


def test_file_of_another_run_s_exception_is_not_taken_for_the_start(complaint):
    Path("more").mkdir()
    Path("more/on_exception.ckpt").touch()
    status, message = complaint(*SMALL, *with_callback("OnExceptionCheckpoint"))
    assert (status, message.partition(": ")[0]) == (2, "more/on_exception.ckpt is left from another run")


@pytest.mark.parametrize("name", first_quick(1, ["StochasticWeightAveraging", "EMAWeightAveraging"]))
def test_longer_run_goes_on_from_the_weights_that_were_not_averaged(name, did):
    flags = ("fit", "--config=linear_regression", "--data.num_examples=95", "--pictures=none", *with_callback(name))
    did(*flags, "--name=longer", "--trainer.max_epochs=2")
    did("fit", "--resume=longer", "--trainer.max_epochs=4")
    did(*flags, "--name=whole", "--trainer.max_epochs=4")
    assert list(differences(last("whole")["current_model_state"], last("longer")["current_model_state"])) == []


EMPTY = """
from torch.utils.data import DataLoader, IterableDataset
from firstlight import Houses

class Stream(IterableDataset):
    def __iter__(self):
        return iter(())

class EmptyStream(Houses):
    def train_dataloader(self):
        return DataLoader(Stream())
"""


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--data=EmptyStream"], "the training data have no batches"),
        (["--trainer.callbacks=Timer", "--trainer.callbacks.duration=00:00:00:00"], "Timer: no time left"),
    ],
)
def test_run_without_a_step_is_never_called_finished(words, why, complaint, firstlight, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "empty_data")
    Path("empty_data.py").write_text(EMPTY)
    reason = f"the run ended before its first step: {why}"
    assert complaint("fit", "--config=linear_regression", "--trainer.max_epochs=1", *words) == (1, reason)
    assert "finished" not in firstlight("runs").out
    assert firstlight("check", "linear_regression", *words).out == f"error:   linear_regression: {reason}\n"


@pytest.mark.parametrize("limits", [(6, -1), (6, 7, -1), (5, 8, 16), (4, 7, -1)])
def test_epoch_that_max_steps_ended_in_its_middle_goes_on(limits, did):
    words = ("fit", "--config=autograd_cubic", "--data.num_points=30", "--data.repeats=4", "--trainer.max_epochs=4")
    did(*words, "--name=unbroken")
    did(*words, "--name=resumed", f"--trainer.max_steps={limits[0]}")
    for limit in limits[1:]:
        did("fit", "--resume=resumed", f"--trainer.max_steps={limit}")
    paths = [Path(f"lightning_logs/{name}/version_0/checkpoints/last.ckpt") for name in ("unbroken", "resumed")]
    unbroken, resumed = (torch.load(path, weights_only=True) for path in paths)
    assert resumed["global_step"] == unbroken["global_step"] == 16
    assert all(torch.equal(resumed["state_dict"][name], each) for name, each in unbroken["state_dict"].items())
