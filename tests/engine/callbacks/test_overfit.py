from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import firstlight
from firstlight import LinearRegression
from firstlight.engine.callbacks import OverfitVerdict, ResumableLoaders

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[3] / "configs").glob("*.yaml"))
MORE = {
    "dynamic_polynomial": ["--trainer.overfit_batches=24"],  # its steps are small
    "two_layer_network": ["--seed_everything=0"],  # from most seeds it ends in a local minimum
}
LINEAR = ("--config=linear_regression", "--config=presets/overfit")


@pytest.mark.parametrize(("lr", "verdict"), [("0.1", "learned by heart: R2 "), ("1e-9", "not learned by heart: R2 -")])
def test_overfit_preset_ends_with_a_verdict_on_the_targets_variance(lr, verdict, did):
    lines = did("fit", *LINEAR, f"--model.lr={lr}", "--trainer.max_epochs=40").splitlines()
    assert [line for line in lines if line.startswith(verdict)], lines


def test_verdict_is_on_the_accuracy_where_there_is_one(did, fashion_root):
    words = ("--config", "mlp", "--config", "presets/overfit", f"--data.root={fashion_root}", "--data.batch_size=20")
    assert "not learned by heart: accuracy 0" in did("fit", *words, "--trainer.max_epochs=2")
    learned = did("fit", *words, "--trainer.max_epochs=60", "--model.lr=0.1", "--model.init_std=null")
    assert "\nlearned by heart: accuracy 1 on the training batches\n" in learned
    assert [line.split()[1] for line in learned.splitlines() if line.startswith("epoch")] == ["1/60", "60/60"]


def test_last_epoch_has_a_line_wherever_training_ends(did):
    out = did("fit", *LINEAR, "--trainer.max_epochs=1000", "--trainer.max_steps=13")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["1/1000", "7/1000"]


class Pairs(LightningModule):
    """A model whose forward takes two inputs, and a loss that halves in each step."""

    def __init__(self, halves):
        super().__init__()
        self.w, self.halves = nn.Parameter(torch.ones(1)), halves

    def forward(self, x, y):
        return x, y

    def training_step(self, batch, batch_idx):
        self.log("loss/train", 0.5 ** (self.global_step * self.halves), on_epoch=True)
        return (self.w * 0).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("halves", "verdict"), [(1, "learned by heart: loss/train 1 "), (0, "not learned by heart: ")])
def test_verdict_is_on_the_loss_where_forward_is_not_understood(halves, verdict, quick_trainer, capsys):
    trainer = quick_trainer(max_epochs=9, overfit_batches=1, callbacks=[OverfitVerdict()], log_every_n_steps=1)
    trainer.fit(Pairs(halves), DataLoader([(torch.zeros(1), torch.zeros(1))] * 4))
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(verdict)]


class Line(IterableDataset):
    """A stream of points of a line, whose length is not known."""

    def __iter__(self):
        return ((torch.tensor([x]), torch.tensor([2 * x])) for x in (-1.0, 0.0, 1.0, 2.0))


def test_batches_of_a_stream_are_scored_too(quick_trainer, capsys):
    callbacks = [ResumableLoaders(0), OverfitVerdict()]
    trainer = quick_trainer(max_epochs=40, overfit_batches=1, callbacks=callbacks, log_every_n_steps=1)
    model = LinearRegression(1, lr=0.1)
    model.train_dataloader = lambda: DataLoader(Line(), 4)
    model.val_dataloader = lambda: DataLoader([*Line()], 4)
    trainer.fit(model)
    assert "learned by heart: R2 " in capsys.readouterr().out


def test_batches_of_sorted_examples_have_several_classes(did, tmp_path):
    rows = [f"{number},{int(number > 300)}" for number in range(600)]
    (tmp_path / "sorted.csv").write_text("\n".join(["x,target", *rows]))
    words = ("--config=own/table", "--data.path=sorted.csv", "--data.target=target", "--data.kind=class")
    model = (
        "--model.num_features=1",
        "--model.num_classes=2",
        "--model.lr=1e-9",
    )  # it guesses the same class for all examples
    out = did("fit", *words, *model, "--config=presets/overfit", "--trainer.max_epochs=1", "--trainer.max_steps=1")
    (verdict,) = (line for line in out.splitlines() if "learned by heart: " in line)
    assert verdict.startswith("not learned by heart: accuracy 0.")


@pytest.fixture
def overfit(did, fashion_root):
    """Return a function that runs the preset on top of a config, and returns the verdict."""

    def run(config):
        images = [f"--data.root={fashion_root}", "--data.batch_size=20"]
        is_of_images = config.startswith(("mlp", "neural", "softmax"))
        words = ["--config", config, "--config", "presets/overfit", *images * is_of_images, *MORE.get(config, [])]
        if is_of_images or config in ("linear_regression", "neuron"):  # they need far fewer epochs than the others
            words.append("--trainer.max_epochs=200")
        out = did("fit", *words)
        (verdict,) = (line for line in out.splitlines() if "learned by heart: " in line)
        return verdict

    return run


@pytest.mark.slow
@pytest.mark.parametrize("config", [config for config in CONFIGS if config != "neural_network_documented"])
def test_documented_models_learn_two_batches_by_heart(config, overfit):
    assert overfit(config).startswith("learned by heart: ")


@pytest.mark.slow
def test_classes_whose_logits_the_last_relu_cuts_off_are_never_learned(overfit):
    assert overfit("neural_network_documented").startswith("not learned by heart: accuracy 0.")
    trained = firstlight.load("neural_network_documented", last=True)
    trained.data.prepare_data()
    trained.data.setup("fit")
    x, y = next(iter(trained.data.train_dataloader()))  # of the first epoch, whose order the preset keeps
    logits = trained.model(x)
    is_dead = (logits == 0).all(dim=0)  # no gradient passes
    assert is_dead.any()
    assert not (logits.argmax(dim=1) == y)[is_dead[y]].any()
