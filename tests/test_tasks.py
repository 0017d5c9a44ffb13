import math

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from firstlight import (
    MLP,
    AutogradCubic,
    Classification,
    DynamicPolynomial,
    InMemory,
    LegendreCubic,
    LinearRegression,
    ManualCubic,
    NeuralNetwork,
    Regression,
    SoftmaxRegression,
    Task,
)


class Given(InMemory):
    """Use the same ten examples in every stage, in batches of four: the last batch has two."""

    def __init__(self, x, y):
        super().__init__(batch_size=4)
        self.train = self.val = self.test = x, y

    def setup(self, stage):
        pass


class Losses(Callback):
    """Collect the loss of each training example's batch, once for each example, epoch by epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_start(self, trainer, model):
        self.epochs.append([])

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.epochs[-1] += [outputs["loss"].item()] * len(batch[0])


@pytest.fixture
def numbers():
    """Return ten examples for regression; the targets grow, so batches differ in their losses."""
    return Given(torch.randn(10, 2), torch.arange(10.0)[:, None])


@pytest.fixture
def kinds():
    """Return ten examples of three classes."""
    return Given(torch.randn(10, 2), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 0, 1]))


def scores(trainer):
    return {name: score.item() for name, score in trainer.callback_metrics.items()}


def test_regression_scores_are_means_over_all_examples(numbers, quick_trainer):
    model, trainer = LinearRegression(lr=1e-30), quick_trainer(max_epochs=1)
    trainer.fit(model, numbers)
    x, y = numbers.train
    expected = ((model(x) - y) ** 2).mean().item()
    assert scores(trainer) == pytest.approx({"loss/train": expected, "loss/val": expected}, rel=1e-6)
    trainer.test(model, numbers, verbose=False)
    assert scores(trainer) == pytest.approx({"loss/test": expected}, rel=1e-6)


def test_classification_scores_are_means_over_all_examples(kinds, quick_trainer):
    model, trainer = SoftmaxRegression(num_features=2, num_classes=3, lr=1e-30), quick_trainer(max_epochs=1)
    trainer.fit(model, kinds)
    x, y = kinds.train
    p = model(x).softmax(dim=1)
    loss = -p[range(10), y].log().mean().item()
    accuracy = (p.argmax(dim=1) == y).double().mean().item()
    assert 0 < accuracy < 1
    expected = {"loss/train": loss, "loss/val": loss, "accuracy/train": accuracy, "accuracy/val": accuracy}
    assert scores(trainer) == pytest.approx(expected, rel=1e-6)
    trainer.test(model, kinds, verbose=False)
    assert scores(trainer) == pytest.approx({"loss/test": loss, "accuracy/test": accuracy}, rel=1e-6)


def test_scores_are_of_their_own_epoch_only(numbers, quick_trainer):
    losses = Losses()
    model, trainer = LinearRegression(lr=0.05), quick_trainer(max_epochs=3, callbacks=[losses])
    trainer.fit(model, numbers)
    x, y = numbers.val
    train, val = torch.tensor(losses.epochs[2]).mean().item(), ((model(x) - y) ** 2).mean().item()
    assert scores(trainer) == pytest.approx({"loss/train": train, "loss/val": val}, rel=1e-6)


def test_accuracy_counts_examples_and_not_classes():
    model = SoftmaxRegression(num_features=3, num_classes=3)
    y = torch.tensor([0, 0, 0, 1])
    answers = nn.functional.one_hot(torch.tensor([0, 0, 0, 2]), 3).float()
    model.update_scores(model.val_scores, torch.tensor(0.0), answers, y)
    assert model.val_scores["accuracy"].compute() == 3 / 4  # by class it would be (1 + 0) / 2


def test_label_smoothing_spreads_a_share_of_each_target():
    model = MLP(num_classes=4, label_smoothing=0.2)
    logits = torch.tensor([[0, math.log(2), math.log(3), math.log(4)]])  # p = 0.1, 0.2, 0.3, 0.4
    targets = [0.05, 0.05, 0.05 + 0.8, 0.05]
    expected = -sum(t * math.log(p) for t, p in zip(targets, [0.1, 0.2, 0.3, 0.4], strict=True))
    assert model.loss(logits, torch.tensor([2])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model_class", [SoftmaxRegression, MLP, NeuralNetwork])
def test_loss_is_the_mean_cross_entropy_unless_told_otherwise(model_class):
    logits = torch.tensor([[0, math.log(2), math.log(3), math.log(4)]] * 2)
    loss = model_class().loss(logits, torch.tensor([2, 0]))
    assert loss.item() == pytest.approx(-(math.log(0.3) + math.log(0.1)) / 2, rel=1e-6)


def test_classification_predicts_truth_class_and_probability():
    model = MLP(num_features=3, hidden_dims=[], num_classes=3)
    model.net[1].weight.data, model.net[1].bias.data = torch.eye(3), torch.zeros(3)  # logits are the inputs
    x = torch.tensor([[0, math.log(8), 0], [math.log(2), 0, 0]])
    with torch.no_grad():
        columns = model.predict_step((x, torch.tensor([1, 2])), 0)
    assert columns["truth"].tolist() == [1, 2]
    assert columns["class"].tolist() == [1, 0]
    assert columns["probability"].tolist() == pytest.approx([0.8, 0.5])


def test_regression_predicts_x_y_and_prediction(numbers, quick_trainer):
    model = LinearRegression()
    columns = quick_trainer().predict(model, numbers)
    x, y = numbers.test
    for name, expected in (("x", x), ("y", y), ("prediction", model(x).detach())):
        torch.testing.assert_close(torch.cat([batch[name] for batch in columns]), expected)


def test_a_step_of_plain_gradient_descent_is_taken(numbers, quick_trainer):
    numbers.batch_size = 10
    model = LinearRegression(lr=0.01)
    w, b = model.linear.weight.detach().clone(), model.linear.bias.detach().clone()
    quick_trainer(max_epochs=1).fit(model, numbers)
    x, y = numbers.train
    residual = x @ w.T + b - y
    torch.testing.assert_close(model.linear.weight.detach(), w - 0.01 * 2 * (residual * x).mean(dim=0, keepdim=True))
    torch.testing.assert_close(model.linear.bias.detach(), b - 0.01 * 2 * residual.mean(dim=0))


def test_the_best_model_has_the_least_loss_or_the_highest_accuracy():
    assert (Regression.monitor, Regression.mode) == ("loss/val", "min")
    assert (Classification.monitor, Classification.mode) == ("accuracy/val", "max")


@pytest.mark.parametrize(
    ("model_class", "lr"),
    [
        (ManualCubic, 1e-6),
        (AutogradCubic, 1e-6),
        (LegendreCubic, 5e-6),
        (DynamicPolynomial, 1e-8),
        (LinearRegression, 0.03),
        (SoftmaxRegression, 0.1),
        (MLP, 0.5),
        (NeuralNetwork, 0.1),
    ],
)
def test_the_documented_learning_rate_is_the_default(model_class, lr):
    (group,) = model_class().configure_optimizers().param_groups
    assert group["lr"] == lr


@pytest.mark.parametrize("task", [Task, Regression, Classification])
def test_a_task_without_a_network_cannot_be_built(task):
    with pytest.raises(TypeError, match="abstract method"):
        task(lr=0.1)


def test_checkpoint_needs_no_arguments_and_no_trust(pair, quick_trainer, tmp_path):
    model, data = pair()
    model = type(model)(**model.hparams | {"lr": model.lr / 2})
    trainer = quick_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = type(model).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert loaded.hparams == model.hparams
    assert loaded.lr == model.lr
    x, _ = next(iter(trainer.train_dataloader))
    x = x.float()
    assert torch.equal(loaded.eval()(x), model.eval()(x))


def test_checkpoint_of_a_plain_trainer_names_its_classes(numbers, quick_trainer, tmp_path):
    trainer = quick_trainer(max_epochs=1)
    trainer.fit(LinearRegression(), numbers)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert checkpoint["model_class"] == "firstlight.models.linear.LinearRegression"
    assert checkpoint["data_class"] == f"{__name__}.Given"
