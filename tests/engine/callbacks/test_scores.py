from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, LightningModule

from firstlight import InMemory, LinearRegression, SoftmaxRegression
from firstlight.engine.callbacks import RunScores, SharedScores, TrainingScores


class Given(InMemory):
    """Use the same ten examples in every stage, in batches of four: an epoch has three steps."""

    def __init__(self, y):
        super().__init__(batch_size=4)
        self.train = self.val = self.test = torch.randn(10, 2), y

    def setup(self, stage):
        pass


class Save(Callback):
    """Save a checkpoint after every step, and at the end of every epoch."""

    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(f"step {trainer.global_step}")

    def on_train_epoch_end(self, trainer, *_):
        trainer.save_checkpoint(f"epoch {trainer.current_epoch}")


TASKS = {
    "regression": (lambda: LinearRegression(lr=0.05), lambda: torch.arange(10.0)[:, None]),
    "classification": (lambda: SoftmaxRegression(2, 3), lambda: torch.arange(10) % 3),
}


@pytest.fixture(params=TASKS)
def fit(request, quick_trainer):
    """Return a function that trains for two epochs and returns the scores of the last one."""
    model, targets = TASKS[request.param]
    data = Given(targets())

    def run(*callbacks, **arguments):
        trainer = quick_trainer(max_epochs=2, callbacks=[*callbacks, TrainingScores()])
        torch.manual_seed(0)
        trainer.fit(model(), data, **arguments)
        return {name: score.item() for name, score in trainer.callback_metrics.items()}

    return run


@pytest.mark.parametrize("checkpoint", ["step 2", "step 3", "epoch 0", "step 4", "step 5"])
def test_a_resumed_epoch_has_the_training_scores_of_the_whole_epoch(checkpoint, fit):
    expected = fit(Save())
    assert fit(ckpt_path=checkpoint, weights_only=True) == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_holds_what_was_added_up_since_the_epoch_began(fit):
    fit(Save())
    counts = {}
    for name in ("step 1", "step 2", "step 3", "epoch 0", "step 4"):
        state = torch.load(name, weights_only=True)["train_scores"].get("loss", {"weight": torch.tensor(0)})
        counts[name] = int(state["weight"])
    assert counts == {"step 1": 4, "step 2": 8, "step 3": 0, "epoch 0": 0, "step 4": 4}


def test_a_model_that_is_no_task_has_no_scores_to_save(quick_trainer):
    callback, checkpoint = TrainingScores(), {}
    callback.on_save_checkpoint(quick_trainer(), LightningModule(), checkpoint)
    callback.on_load_checkpoint(quick_trainer(), LightningModule(), checkpoint)
    assert checkpoint == {"train_scores": {}}


class Logging(LightningModule):
    """Keep what is logged, and how."""

    def log(self, name, value, **options):
        vars(self).setdefault("logged", []).append(options)


@pytest.mark.parametrize(
    ("world_size", "training", "options", "used"),
    [
        (2, False, {}, {"sync_dist": True}),
        (2, False, {"sync_dist": False}, {"sync_dist": False}),
        (2, False, {"rank_zero_only": True}, {"rank_zero_only": True}),
        (2, True, {}, {}),
        (1, False, {}, {}),
    ],
)
def test_scores_in_evaluation_are_averaged_over_processes_unless_the_model_says_how(
    world_size, training, options, used
):
    model, trainer = Logging(), SimpleNamespace(world_size=world_size, training=training)
    SharedScores().setup(trainer, model, "fit")
    model.log("val_loss", 1.0, **options)
    assert model.logged == [used]
    SharedScores().teardown(trainer, model, "fit")
    assert "log" not in vars(model)


class Ends(Callback):
    """Keep all scores that are known at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, *_):
        self.seen.append({name: score.item() for name, score in trainer.callback_metrics.items()})


def test_resumed_run_knows_the_scores_from_before_its_checkpoint(quick_trainer):
    whole, resumed = Ends(), Ends()
    for ends, path in ((whole, None), (resumed, "epoch 1")):
        trainer = quick_trainer(max_epochs=3, check_val_every_n_epoch=2, callbacks=[RunScores(), ends, Save()])
        torch.manual_seed(0)
        trainer.fit(LinearRegression(lr=0.05), Given(torch.arange(10.0)[:, None]), ckpt_path=path, weights_only=True)
        assert trainer.callback_metrics.keys() == {"loss/val", "loss/train"}
    assert resumed.seen[-1].keys() == whole.seen[-1].keys()
    assert resumed.seen[-1]["loss/val"] == whole.seen[-1]["loss/val"]
