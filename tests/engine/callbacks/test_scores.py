from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import Checkpoint
from tests.faults.harness import differences
from torchmetrics import MaxMetric, MeanMetric, MetricCollection, MinMetric

from firstlight import InMemory, LinearRegression, SoftmaxRegression
from firstlight.engine.callbacks import ResumedScores, SharedScores


class Given(InMemory):
    """Use the same ten examples in every stage, in batches of four: an epoch has three steps."""

    def __init__(self, y):
        super().__init__(batch_size=4)
        self.train = self.val = self.test = torch.randn(10, 2), y

    def setup(self, stage):
        pass


class Save(Checkpoint):
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
        trainer = quick_trainer(
            max_epochs=2, enable_checkpointing=bool(callbacks), callbacks=[*callbacks, ResumedScores()]
        )
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
        (share,) = torch.load(name, weights_only=True)["train_scores"]
        counts[name] = int(share.get("metrics", {}).get("train_scores.loss", {"weight": 0})["weight"])
    assert counts == {"step 1": 4, "step 2": 8, "step 3": 0, "epoch 0": 0, "step 4": 4}


@pytest.mark.parametrize("fit", ["regression"], indirect=True)
def test_checkpoint_of_a_resumed_run_holds_the_same_though_it_has_not_validated(fit):
    fit(Save())
    whole = torch.load("step 5", weights_only=True)["train_scores"]
    fit(Save(), ckpt_path="step 4", weights_only=True)
    assert list(differences(whole, torch.load("step 5", weights_only=True)["train_scores"])) == []
    assert list(whole[0]["metrics"]) == ["train_scores.loss"]


class Plain(LightningModule):
    """Add up in training by all ways of plain Lightning; ``worst`` not in each batch, ``first`` in one only."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.by_hand, self.largest = MeanMetric(), MetricCollection({"max": MaxMetric(), "min": MinMetric()})

    def training_step(self, batch, batch_idx):
        loss = (self.layer(batch[0]) - batch[1]).square().mean()
        self.log("forked", loss, on_step=True, on_epoch=True)
        self.log("sum", loss, on_epoch=True, on_step=False, reduce_fx="sum")
        if batch_idx != 1:
            self.log("worst", loss, on_epoch=True, on_step=False, reduce_fx="max")
        if batch_idx == 0:
            for reduce in ("mean", "sum", "max", "min"):
                self.log(f"first {reduce}", loss, on_epoch=True, on_step=False, reduce_fx=reduce)
        self.by_hand.update(loss)
        self.largest.update(loss)
        self.log_dict(self.largest, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, batch_idx):
        pass

    def on_train_epoch_end(self):
        self.log("by hand", self.by_hand.compute())
        self.by_hand.reset()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


def trained(quick_trainer, *callbacks, **arguments):
    """Return the last epoch's scores of the model above."""
    trainer = quick_trainer(
        max_epochs=2,
        log_every_n_steps=1,
        enable_checkpointing=bool(callbacks),
        callbacks=[*callbacks, ResumedScores()],
    )
    torch.manual_seed(0)
    trainer.fit(Plain(), Given(torch.arange(10.0)[:, None]), **arguments)
    return {name: score.item() for name, score in trainer.callback_metrics.items()}


@pytest.mark.parametrize("checkpoint", ["step 1", "step 4", "step 5", "epoch 0"])
def test_plain_modules_score_a_resumed_epoch_to_the_same_bits(checkpoint, quick_trainer):
    expected = trained(quick_trainer, Save())
    assert trained(quick_trainer, ckpt_path=checkpoint, weights_only=True) == expected
    assert len(expected) == 12


def test_score_of_early_batches_outlives_two_kills_in_their_epoch(quick_trainer):
    expected = trained(quick_trainer, Save())
    whole = torch.load("step 5", weights_only=True)["train_scores"]
    assert trained(quick_trainer, Save(), ckpt_path="step 4", weights_only=True) == expected
    assert list(differences(whole, torch.load("step 5", weights_only=True)["train_scores"])) == []
    assert trained(quick_trainer, ckpt_path="step 5", weights_only=True) == expected


def test_sums_of_two_processes_are_shared_out_among_one(quick_trainer):
    expected = trained(quick_trainer, Save())
    checkpoint = torch.load("step 5", weights_only=True)
    (share,) = checkpoint["train_scores"]
    nothing = {"value": torch.tensor(0.0), "cumulated_batch_size": torch.tensor(0)}
    other = {"metrics": {"by_hand": {"mean_value": torch.tensor(0.0), "weight": torch.tensor(0.0)}}}
    other["logged"] = {"training_step.forked": nothing, "training_step.worst": {"value": torch.tensor(1e6)}}
    other["logged"]["training_step.first max"] = {"value": torch.tensor(1e7)}
    torch.save({**checkpoint, "train_scores": [share, other]}, "two")
    assert trained(quick_trainer, ckpt_path="two", weights_only=True) == {**expected, "worst": 1e6, "first max": 1e7}


class Logging(LightningModule):
    """Keep what is logged, and how."""

    def log(self, name, value, **options):
        vars(self).setdefault("logged", []).append(options)

    log_dict = log


@pytest.mark.parametrize(
    ("world_size", "training", "options", "used"),
    [
        (2, False, {}, {"sync_dist": True}),
        (2, False, {"sync_dist": False}, {"sync_dist": False}),
        (2, False, {"rank_zero_only": True}, {"rank_zero_only": True}),
        (2, True, {}, {}),
        (2, True, {"on_epoch": True}, {"on_epoch": True, "sync_dist": True}),
        (1, False, {}, {}),
    ],
)
def test_scores_of_evaluation_and_epochs_are_averaged_over_processes_unless_the_model_says_how(
    world_size, training, options, used
):
    model, trainer = Logging(), SimpleNamespace(world_size=world_size, training=training)
    SharedScores().setup(trainer, model, "fit")
    model.log("val_loss", 1.0, **options)
    model.log_dict({"val_loss": 1.0}, 1.0, **options)
    assert model.logged == [used, used]
    SharedScores().teardown(trainer, model, "fit")
    assert vars(model).keys().isdisjoint({"log", "log_dict"})


class Ends(Callback):
    """Keep all scores that are known at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, *_):
        self.seen.append({name: score.item() for name, score in trainer.callback_metrics.items()})


def test_resumed_run_knows_the_scores_from_before_its_checkpoint(quick_trainer):
    whole, resumed = Ends(), Ends()
    for ends, path in ((whole, None), (resumed, "epoch 1")):
        trainer = quick_trainer(
            max_epochs=3,
            enable_checkpointing=True,
            check_val_every_n_epoch=2,
            callbacks=[ResumedScores(), ends, Save()],
        )
        torch.manual_seed(0)
        trainer.fit(LinearRegression(lr=0.05), Given(torch.arange(10.0)[:, None]), ckpt_path=path, weights_only=True)
        assert trainer.callback_metrics.keys() == {"loss/val", "loss/train"}
    assert resumed.seen[-1].keys() == whole.seen[-1].keys()
    assert resumed.seen[-1]["loss/val"] == whole.seen[-1]["loss/val"]
