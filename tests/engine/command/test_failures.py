"""Complaints of torch and Lightning that a user can mend are shown as such; all others are bugs."""

from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from firstlight.engine.command.failures import explain_failure, first_failure
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint


def torch_says(complaint):
    """Return the error that torch raises."""
    with pytest.raises((RuntimeError, IndexError, ValueError, TypeError)) as caught:
        complaint()
    return caught.value


MISMATCHES = {
    "set sizes in --model or --data": [
        lambda: torch.ones(2, 3) @ torch.ones(2, 3),
        lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 5])),
        lambda: torch.ones(2) + torch.ones(3),
        lambda: torch.nn.Conv2d(1, 2, 3)(torch.ones(1, 3, 8, 8)),
        lambda: torch.nn.BatchNorm1d(6)(torch.ones(2, 4)),
        lambda: torch.nn.LayerNorm(6)(torch.ones(2, 4)),
        lambda: torch.nn.Embedding(6, 2)(torch.tensor([6])),
    ],
    "forward needs to return a number for each class: (batch, num_classes)": [
        lambda: F.cross_entropy(torch.tensor([0, 1]), torch.tensor([0, 1]))
    ],
    "inputs need a floating-point type, as weights have": [lambda: F.linear(torch.ones(1, 2).long(), torch.ones(2, 2))],
}


@pytest.mark.parametrize("advice", MISMATCHES)
def test_mismatch_of_model_and_data_is_named_with_what_to_do(advice):
    for complaint in MISMATCHES[advice]:
        explained = explain_failure(torch_says(complaint), None)
        assert str(explained).startswith("model and data do not fit each other: ")
        assert str(explained).endswith(f"\n{advice}")


def test_step_that_a_model_lacks_is_named():
    error = MisconfigurationException("No `test_step()` method defined to run `Trainer.test`.")
    assert str(explain_failure(error, None)) == "the model has no test_step"


def test_loader_that_a_data_module_lacks_is_named(quick_trainer):
    with pytest.raises(MisconfigurationException) as caught:
        quick_trainer().predict(BoringModel(), datamodule=LightningDataModule())
    assert str(explain_failure(caught.value, None)) == "LightningDataModule has no predict_dataloader"


def test_parameters_that_a_step_leaves_out_are_a_matter_of_the_strategy():
    text = "It looks like your LightningModule has parameters that were not used in producing the loss returned by ..."
    assert str(explain_failure(RuntimeError(text), None)).endswith("has to be ddp_find_unused_parameters_true")


def test_lazy_layers_are_not_for_several_processes():
    text = "Modules with uninitialized parameters can't be used with `DistributedDataParallel`. Run a ..."
    assert str(explain_failure(RuntimeError(text), None)).startswith("trainer.devices: several processes cannot train")


def test_weights_of_another_shape_are_a_matter_of_the_checkpoint():
    error = torch_says(lambda: torch.nn.Linear(1, 2).load_state_dict(torch.nn.Linear(1, 3).state_dict()))
    explained = explain_failure(error, Path("my.ckpt"))
    assert explained.exit_status == 1
    assert str(explained).startswith("checkpoint my.ckpt does not fit the model: ")


def test_any_other_error_is_left_alone():
    assert explain_failure(RuntimeError("boom"), None) is None
    assert explain_failure(KeyboardInterrupt(), None) is None


def test_error_of_a_loader_is_not_hidden_by_the_end_of_the_trainer(quick_trainer):
    class Shards(IterableDataset):
        def __iter__(self):
            raise ValueError("shard 7 cannot be opened")

    with pytest.raises(RuntimeError) as caught:
        quick_trainer(max_epochs=1).fit(BoringModel(), DataLoader(Shards()))
    assert str(first_failure(caught.value)) == "shard 7 cannot be opened"
    assert first_failure(failure := KeyError("x")) is failure


def test_checkpoint_of_another_shape_is_refused_by_name(did, complaint):
    did("fit", "-c", "linear_regression_sine", "-c", "presets/limit")
    path = "lightning_logs/linear_regression_sine/version_0/checkpoints/last.ckpt"
    status, message = complaint("fit", "--resume", "--model.num_features=2", "--data.num_powers=2")
    assert status == 1
    assert message.startswith(f"checkpoint {path} does not fit the model: ")


def test_state_of_another_optimizer_is_refused(did, complaint):
    did("fit", "-c", "linear_regression_sine", "-c", "presets/limit")
    status, message = complaint("fit", "--resume", "--optimizer=Adam", "--trainer.max_epochs=2")
    assert status in (1, 2)
    assert "Adam" in message


def test_checkpoint_that_lightning_cannot_bring_up_to_date_is_refused_by_name(did, complaint):
    did("fit", "-c", "linear_regression_sine", "-c", "presets/limit")
    content = load_checkpoint("lightning_logs/linear_regression_sine/version_0/checkpoints/last.ckpt")
    save_checkpoint(content | {"pytorch-lightning_version": "1.5.0"}, "older.ckpt")  # that had other loops
    for command in ("fit", "test"):
        status, message = complaint(command, "-c", "linear_regression_sine", "--ckpt_path", "older.ckpt")
        assert status == 1
        assert message.startswith("checkpoint older.ckpt cannot be restored: KeyError: ")


def test_model_and_data_that_do_not_fit_are_a_usage_error(complaint):
    status, message = complaint("fit", "-c", "linear_regression_sine", "--data.num_powers=2")
    assert status == 2
    assert message.startswith("model and data do not fit each other: ")
    assert not list(Path().rglob("version_*/checkpoints/best.ckpt"))
