"""A score is never a random model's, and what is typed goes over what a checkpoint holds."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from firstlight import MLP, AutogradCubic, Sine
from firstlight.engine.runs.checkpoint_files import load_checkpoint

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2")
WORSENS = ("--model.lr=3e-4", "--trainer.max_epochs=3")  # too long a step: each epoch is worse than the one before


def checkpoint(name, run="autograd_cubic/version_0"):
    return Path("lightning_logs", run, "checkpoints", f"{name}.ckpt")


def groups(run="autograd_cubic/version_0"):
    """Return the settings of the optimizer in a run's last checkpoint."""
    (state,) = load_checkpoint(checkpoint("last", run))["optimizer_states"]
    return state["param_groups"][0]


def loss_by_hand(path):
    """Return the summed squared error, on the test points, of a cubic with the coefficients in a checkpoint."""
    a, b, c, d = torch.load(path, weights_only=True)["state_dict"]["coefficients"].double()
    spacing = 2 * math.pi / 29
    x = -math.pi + spacing * (torch.arange(29, dtype=torch.double) + 2 / 3)
    return (a + b * x + c * x**2 + d * x**3 - x.sin()).square().sum().item()


def score(run="autograd_cubic/version_0"):
    return json.loads(Path("lightning_logs", run, "test.json").read_text())["loss/test"]


def test_scores_are_those_of_the_best_weights_unless_others_are_asked_for(did):
    did("fit", *SMALL, *WORSENS)
    best, last = checkpoint("best"), checkpoint("last")
    assert f"weights: {best}, epoch 1, step 2" in did("test", *SMALL)
    assert score() == pytest.approx(loss_by_hand(best), rel=1e-5)
    did("test", *SMALL, "--ckpt_path", "last")
    assert score() == pytest.approx(loss_by_hand(last), rel=1e-5)
    assert loss_by_hand(last) > 2 * loss_by_hand(best)
    last.rename("mine.ckpt")
    did("test", *SMALL, "--ckpt_path", "mine.ckpt")
    assert loss_by_hand("mine.ckpt") > 2 * loss_by_hand(best)


def test_untrained_weights_are_scored_only_when_asked_for(did):
    assert "weights: untrained, as asked for (--ckpt_path none)" in did("test", *SMALL, "--ckpt_path", "none")
    did("fit", *SMALL, "--trainer.max_epochs=1")
    assert "best.ckpt" in did("test", *SMALL)


def test_weights_are_those_of_the_latest_run_of_the_name(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    did("fit", *SMALL, "--trainer.max_epochs=2")
    did("fit", *SMALL, "--trainer.max_epochs=1", "--name", "other")
    assert str(checkpoint("best", "autograd_cubic/version_1")) in did("test", *SMALL)
    assert str(checkpoint("best", "other/version_0")) in did("test")
    assert str(checkpoint("best", "other/version_0")) in did("test", "--run", "other")
    assert str(checkpoint("best")) in did("test", "--run", "autograd_cubic/version_0")
    assert str(checkpoint("best")) in did("predict", "--run", "lightning_logs/autograd_cubic/version_0")


def test_run_without_a_checkpoint_does_not_hide_the_one_before(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    Path("lightning_logs/autograd_cubic/version_1").mkdir()
    assert str(checkpoint("best")) in did("test", *SMALL)
    assert str(checkpoint("best")) in did("test")


def test_shape_of_a_network_is_read_from_its_run(did, fashion_root):
    did("fit", "-c", "mlp", "-c", "presets/limit", "--data.root", fashion_root, "--model.hidden_dims=[5, 4]")
    did("validate")
    did("predict", "-c", "mlp")
    did("test", "--ckpt_path", checkpoint("last", "mlp/version_0"))


def test_typed_learning_rate_goes_over_that_of_a_checkpoint(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    did("fit", *SMALL, "--trainer.max_epochs=2", "--ckpt_path", checkpoint("last"), "--model.lr=0.9e-6")
    assert groups("autograd_cubic/version_1")["lr"] == 0.9e-6
    assert load_checkpoint(checkpoint("last", "autograd_cubic/version_1"))["hyper_parameters"] == {"lr": 0.9e-6}
    did("fit", "--resume", "autograd_cubic/version_0", "--trainer.max_epochs=2", "--model.lr=0.8e-6")
    assert groups()["lr"] == 0.8e-6


def test_learning_rate_that_was_not_typed_stays_that_of_the_checkpoint(did):
    did("fit", *SMALL, "--trainer.max_epochs=1", "--model.lr=2e-6")
    did("fit", "--ckpt_path", checkpoint("last"), "--trainer.max_epochs=2", "--name", "more")
    assert groups("more/version_0")["lr"] == 2e-6
    did("fit", "--resume", "autograd_cubic", "--trainer.max_epochs=2")
    assert groups()["lr"] == 2e-6


def test_typed_learning_rate_changes_a_schedule_in_proportion(did):
    halved = ("--optimizer=SGD", "--optimizer.lr=1e-6", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=1")
    did("fit", *SMALL, *halved, "--lr_scheduler.gamma=0.5", "--trainer.max_epochs=2")
    assert groups()["lr"] == pytest.approx(1e-6 / 4)
    did("fit", "--resume", "--trainer.max_epochs=3")
    assert groups()["lr"] == pytest.approx(1e-6 / 8)
    did("fit", "--resume", "--trainer.max_epochs=4", "--optimizer.lr=1e-5")
    assert groups()["lr"] == pytest.approx(1e-5 / 16)
    did("fit", "--resume", "--trainer.max_epochs=5")
    assert groups()["lr"] == pytest.approx(1e-5 / 32)


def test_checkpoint_of_another_model_is_refused_by_name(did, complaint):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    status, message = complaint("test", "-c", "manual_cubic", "--ckpt_path", checkpoint("last"))
    assert status in (1, 2)
    assert "AutogradCubic" in message
    assert "ManualCubic" in message
    assert str(checkpoint("last")) in message
    assert complaint("fit", "-c", "manual_cubic", "--ckpt_path", checkpoint("last"))[1] == message


def test_checkpoint_of_the_command_line_loads_as_data_and_holds_plain_types(did, fashion_root):
    flags = ("--model.hidden_dims=[5, 4]", "--model.dropout=0.5", "--model.batch_norm=true", "--trainer.max_epochs=1")
    did("fit", "-c", "mlp", "--data.root", fashion_root, *flags)
    path = checkpoint("best", "mlp/version_0")
    model = MLP.load_from_checkpoint(path, weights_only=True)
    assert model.net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    content = torch.load(path, weights_only=True)
    values = [*content["hyper_parameters"].values(), *content["datamodule_hyper_parameters"].values()]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    assert {type(value) for value in flat} <= {int, float, bool, str, type(None)}
    assert content["hyper_parameters"]["hidden_dims"] == [5, 4]


def test_checkpoint_of_a_plain_trainer_is_tested_and_continued_by_the_command_line(did, quick_trainer):
    trainer = quick_trainer(max_epochs=2, enable_checkpointing=True, default_root_dir="plain")
    trainer.fit(AutogradCubic(lr=2e-6), Sine(num_points=30, repeats=2))
    (path,) = Path("plain").rglob("*.ckpt")
    did("test", *SMALL, "--ckpt_path", path)
    Path("mine.yaml").write_text("model: {init_args: {lr: 1.0e-6}}")
    did("fit", *SMALL, "-c", "mine.yaml", "--ckpt_path", path, "--trainer.max_epochs=3")
    continued = "autograd_cubic/version_1"  # the scores of the foreign checkpoint are in version_0
    assert load_checkpoint(checkpoint("last", continued))["global_step"] == 6
    assert groups(continued)["lr"] == 1e-6  # the config's


def test_config_of_another_program_beside_a_checkpoint_is_left_out_where_one_is_named(did, quick_trainer):
    quick_trainer(max_epochs=1, enable_checkpointing=True).fit(AutogradCubic(), Sine(num_points=30))
    (path,) = Path("checkpoints").iterdir()
    Path("config.yaml").write_text("notes: {every: 2}")
    for _ in range(2):  # the first writes a receipt
        assert "loss/test " in did("test", *SMALL, "--ckpt_path", path)


def test_run_goes_on_where_it_ended(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    did("fit", "--resume", "--trainer.max_epochs=2")
    assert load_checkpoint(checkpoint("last"))["global_step"] == 4
    assert re.search(r"max_epochs: 2$", Path("lightning_logs/autograd_cubic/version_0/config.yaml").read_text(), re.M)


def test_finished_run_that_is_resumed_keeps_its_receipt(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    receipt = Path("lightning_logs/autograd_cubic/version_0/run.json")
    before = json.loads(receipt.read_text())
    did("fit", "--resume")
    after = json.loads(receipt.read_text())
    assert {key: after[key] for key in ("scores", "best", "step", "epochs", "status")} == {
        key: before[key] for key in ("scores", "best", "step", "epochs", "status")
    }


def test_resume_that_is_refused_leaves_the_run_as_it_was(did, complaint):
    did("fit", "-c", "linear_regression_sine", "-c", "presets/limit")
    run = Path("lightning_logs/linear_regression_sine/version_0")
    before = (run / "config.yaml").read_text()
    complaint("fit", "--resume", "--optimizer=Adam", "--trainer.max_epochs=2")
    complaint("fit", "--resume", "--model.num_features=2", "--trainer.max_epochs=2")
    assert (run / "config.yaml").read_text() == before
    did("fit", "--resume", "--trainer.max_epochs=2")


def test_run_that_starts_from_a_checkpoint_has_a_best_of_its_own(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    out = did("fit", *SMALL, *WORSENS, "--ckpt_path", checkpoint("last"))
    assert "in epoch 2" in out
    assert str(checkpoint("best", "autograd_cubic/version_1")) in did("test")


def test_run_without_a_last_checkpoint_is_not_resumed(did, complaint):
    did("fit", *SMALL, "--name=lost")
    last = Path("lightning_logs/lost/version_0/checkpoints/last.ckpt")
    last.unlink()
    assert complaint("fit", "--resume", "lost") == (2, f"there is no checkpoint {last}")


def test_run_beside_a_file_with_weights_is_refused(did, complaint):
    did("fit", *SMALL, "--name=one")
    best = "lightning_logs/one/version_0/checkpoints/best.ckpt"
    status, message = complaint("test", "--run=one", f"--ckpt_path={best}")
    assert (status, message) == (2, f"--run one and --ckpt_path {best} both name weights: leave one out")
