import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from firstlight import MLP, AutogradCubic, FashionMNIST, Houses, LinearRegression, Sine
from firstlight.engine.callbacks import Checkpoints, Dashboard, write_test_score


class Foreign(LightningModule):
    """A model that does not use this package and names its scores in other ways."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        loss = self.linear(*batch).square().mean()
        self.log_dict({"train_loss": loss, "train/f1": 0.5, "other": 1.0}, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log_dict({"val_loss": self.linear(*batch).square().mean(), "val/f1": 0.5})

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.25, weight_decay=0.5)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(4, 2)))

    val_dataloader = train_dataloader


class End(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        raise RuntimeError("broken")


@pytest.fixture
def fit(quick_trainer, tmp_path):
    """Return a function that trains with a dashboard."""

    def run(model, data=None, *callbacks, **arguments):
        logger = TensorBoardLogger(tmp_path, "", "logs", default_hp_metric=False)
        arguments = {"max_epochs": 2, "log_every_n_steps": 1, "logger": logger} | arguments
        quick_trainer(callbacks=[*callbacks, Dashboard(seed=7, configs="my.yaml")], **arguments).fit(model, data)

    return run


@pytest.fixture
def events(tmp_path):
    """Return a function that reads the event files."""
    return lambda part="": EventAccumulator(str(tmp_path / "logs" / part)).Reload()


def charts(events):
    """Return the charts of the Custom Scalars tab: the curves in each, by its title."""
    (event,) = events.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    return {chart.title: list(chart.multiline.tag) for chart in category.chart}


def entry(events):
    """Return the run's row in the HParams tab, and whether the row says that the run has ended."""
    contents = events.PluginTagToContent("hparams")
    assert "_hparams_/experiment" not in contents  # one run's columns would be all that is shown of any
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    return values, "_hparams_/session_end_info" in contents


def test_one_chart_shows_training_and_validation_of_a_score(fit, events, fashion_root):
    fit(MLP(hidden_dims=[4]), FashionMNIST(str(fashion_root)))
    assert charts(events()) == {
        "accuracy": ["accuracy/train$", "accuracy/val$"],
        "loss": ["loss/train$", "loss/val$"],
    }
    assert {"accuracy/train", "accuracy/val", "loss/train", "loss/val"} <= set(events().Tags()["scalars"])


def test_any_model_gets_its_charts_and_its_row(fit, events):
    fit(Foreign())
    assert charts(events()) == {"f1": ["train/f1$", "val/f1$"], "loss": ["train_loss$", "val_loss$"]}
    assert entry(events("scores"))[0] == {
        "Model": "Foreign",
        "Optimizer": "Adam",
        "Schedule": "none",
        "Configs": "my.yaml",
        "lr": 0.25,
        "betas": "(0.9, 0.999)",
        "eps": 1e-8,
        "weight_decay": 0.5,
        "max_epochs": 2,
        "seed_everything": 7,
    }


def test_row_of_a_run_has_readable_hyperparameters_and_nothing_else(fit, events):
    model = LinearRegression(lr=0.25)
    model.hparams["_instantiator"] = "noise"
    fit(model, Houses(num_examples=20, batch_size=4))
    assert entry(events("scores")) == (
        {
            "Model": "LinearRegression",
            "num_features": 2,
            "lr": 0.25,
            "Data": "Houses",
            "fold": "none",
            "num_examples": 20,
            "noise": 0.01,
            "batch_size": 4,
            "repeats": 1,
            "seed": 0,
            "Optimizer": "SGD",
            "Schedule": "none",
            "Configs": "my.yaml",
            "max_epochs": 2,
            "seed_everything": 7,
        },
        True,
    )
    assert "hp_metric" not in events().Tags()["scalars"]


def test_location_of_the_data_is_not_a_hyperparameter(fit, events, fashion_root):
    fit(MLP(hidden_dims=[5, 4], batch_norm=True), FashionMNIST(str(fashion_root)))
    row, _ = entry(events("scores"))
    assert row["hidden_dims"] == "[5, 4]"
    assert row["batch_norm"] == "True"
    assert not {"root", "device_resident"} & {*row}


def test_failed_run_has_a_row_and_a_best_score(fit, events):
    checkpoints = Checkpoints(folder="here")
    with pytest.raises(RuntimeError, match="broken"):
        fit(AutogradCubic(), Sine(num_points=30), checkpoints, End(), enable_checkpointing=True)
    row, ended = entry(events("scores"))
    assert (row["Model"], row["Score"]) == ("AutogradCubic", "loss/val")
    assert not ended
    assert [point.value for point in events("scores").Scalars("best")] == [pytest.approx(checkpoints.best_score)]


def test_resumed_run_replaces_its_row(fit, events):
    fit(AutogradCubic(lr=1e-6), Sine(num_points=30))
    fit(AutogradCubic(lr=1e-7), Sine(num_points=30))
    assert entry(events("scores"))[0]["lr"] == 1e-7


def test_best_score_is_in_the_table_alone(fit, events):
    checkpoints = Checkpoints(folder="here")
    fit(AutogradCubic(3e-4), Sine(num_points=30, repeats=2), checkpoints, enable_checkpointing=True, max_epochs=3)
    validated = [point.value for point in events().Scalars("loss/val")]
    assert validated[0] == min(validated)  # too long a step: it only gets worse
    assert [point.value for point in events("scores").Scalars("best")] == validated[:1]
    assert "loss/best" not in events().Tags()["scalars"]


def test_other_loggers_are_left_alone(fit):
    fit(AutogradCubic(), Sine(num_points=30), logger=CSVLogger("csv"))
    fit(AutogradCubic(), Sine(num_points=30), logger=False)


def test_test_score_joins_the_row_and_replaces_the_one_before(fit, events, tmp_path):
    write_test_score(tmp_path / "logs", 0.5, 4)
    assert not (tmp_path / "logs").exists()  # there is no table
    fit(AutogradCubic(), Sine(num_points=30))
    for score in (0.5, 0.25):
        write_test_score(tmp_path / "logs", score, 4)
    assert [(point.step, point.value) for point in events("scores").Scalars("test")] == [(4, 0.25)]
    assert entry(events("scores"))[1]


def test_row_names_the_configs_and_settings_that_were_typed_and_no_other_flags(did):
    did("fit", "--config=neuron", "--name=small", "--note=a note", "--trainer.max_epochs=1", "-c", "presets/limit")
    did("fit", "--resume", "--trainer.max_epochs=2", "--strict")
    row, _ = entry(EventAccumulator("lightning_logs/small/version_0/scores").Reload())
    assert row["Configs"] == "neuron presets/limit --trainer.max_epochs=1"


def test_rows_of_all_models_have_the_columns_that_are_listed_first(fit, events, fashion_root):
    """TensorBoard lists five columns in the order of their names, capitals first, and draws no run that lacks one."""
    rows = []
    pairs = [(AutogradCubic(), Sine(num_points=30)), (MLP(hidden_dims=[4]), FashionMNIST(str(fashion_root)))]
    for model, data in pairs:
        fit(model, data, Checkpoints(folder=type(model).__name__), enable_checkpointing=True)
        rows.append(entry(events("scores"))[0])
        assert events("scores").Tags()["scalars"] == ["best"]
    general = ["Configs", "Data", "Model", "Optimizer", "Schedule", "Score"]
    assert [sorted(row)[:6] for row in rows] == [general, general]
