import random

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from firstlight import (
    MLP,
    AutogradCubic,
    Classification,
    DynamicPolynomial,
    FashionMNIST,
    Houses,
    InMemory,
    LegendreCubic,
    LinearRegression,
    ManualCubic,
    NeuralNetwork,
    Neuron,
    PlantedNeuron,
    Sine,
    SoftmaxRegression,
    TwoLayerNetwork,
    gallery,
)
from firstlight.engine.callbacks import (
    Details,
    Pictures,
    SeveralUpdates,
    StepSeeds,
    Stopped,
)
from firstlight.engine.callbacks.tensorboard import pictures
from firstlight.engine.callbacks.update_loop import UpdatingLoader
from firstlight.gallery import Picture


class Own(Classification):
    """A user's model, without any code for pictures."""

    def __init__(self, num_features=12):
        super().__init__(num_classes=3, lr=0.1)
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(num_features, 3))

    def forward(self, x):
        return self.net(x)


class Blobs(InMemory):
    """A user's data: random inputs of any shape in three classes."""

    def __init__(self, *shape):
        super().__init__(batch_size=10)
        self.shape = shape

    def setup(self, stage):
        self.train = self.val = self.test = torch.rand(30, *self.shape), torch.arange(30) % 3


class Each(Callback):
    """Do something at the end of each epoch."""

    def __init__(self, do):
        self.do = do

    def on_train_epoch_end(self, trainer, pl_module):
        self.do(trainer)


@pytest.fixture
def fit(quick_trainer, tmp_path):
    """Return a function that trains with pictures, and returns the Trainer."""

    def run(model, data, *callbacks, **arguments):
        arguments = {
            "max_epochs": 1,
            "log_every_n_steps": 1,
            "logger": TensorBoardLogger(tmp_path, "", "logs"),
        } | arguments
        trainer = quick_trainer(callbacks=[*callbacks, Pictures()], **arguments)
        trainer.fit(model, data)
        return trainer

    return run


@pytest.fixture
def drawn(tmp_path):
    """Return a function that reads from the event files which pictures there are, and of which steps."""

    def read():
        events = EventAccumulator(str(tmp_path / "logs"), {"images": 0}).Reload()
        return {tag: [image.step for image in events.Images(tag)] for tag in events.Tags()["images"]}

    return read


@pytest.fixture
def given(monkeypatch):
    """Return a dictionary that fills with what functions of ``plots`` are given."""
    seen = {}
    for name in gallery.plots.__all__:
        original = getattr(gallery.plots, name)

        def keep(*args, name=name, original=original):
            seen[name] = args
            return original(*args)

        monkeypatch.setattr(gallery.plots, name, keep)
    return seen


SINE = {"num_points": 40, "repeats": 3}
CLASSES = {"confusion matrix", "mistakes"}


@pytest.mark.parametrize(
    ("model", "data", "tags"),
    [
        (AutogradCubic, lambda _: Sine(**SINE), {"fit", "coefficients"}),
        (ManualCubic, lambda _: Sine(**SINE), {"fit", "coefficients"}),
        (LegendreCubic, lambda _: Sine(**SINE), {"fit"}),
        (DynamicPolynomial, lambda _: Sine(**SINE), {"fit"}),
        (lambda: LinearRegression(3), lambda _: Sine(num_powers=3, **SINE), {"fit"}),
        (TwoLayerNetwork, lambda _: Sine(num_powers=3, scale_target=True, **SINE), {"fit"}),
        (Neuron, lambda _: PlantedNeuron(num_examples=20), {"planted weights"}),
        (LinearRegression, lambda _: Houses(num_examples=20), {"planted weights"}),
        (SoftmaxRegression, FashionMNIST, {"weights", *CLASSES}),
        (lambda: MLP(hidden_dims=[8]), FashionMNIST, {"first layer", *CLASSES}),
        (NeuralNetwork, FashionMNIST, {"first layer", *CLASSES}),
        (Own, lambda _: Blobs(1, 3, 4), CLASSES),
        (lambda: Own(27), lambda _: Blobs(3, 3, 3), CLASSES),
        (Own, lambda _: Blobs(12), {"confusion matrix"}),
    ],
)
def test_model_on_its_data_gets_the_pictures_listed_for_it(model, data, tags, fit, drawn, fashion_root):
    trainer = fit(model(), data(str(fashion_root)))
    assert drawn() == {tag: [trainer.global_step - 1] for tag in tags}


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(("seconds", "epochs"), [(0, [7]), (5, [2, 4, 7]), (1000, [1, 2, 4, 7])])
def test_a_few_epochs_are_drawn_and_of_a_short_run_only_its_end(seconds, epochs, fit, drawn, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pictures, "time", clock)

    def work(trainer):
        clock.now += seconds

    fit(LegendreCubic(), Sine(**SINE), Each(work), max_epochs=7)
    assert drawn() == {"fit": [3 * epoch - 1 for epoch in epochs]}


def test_drawing_takes_at_most_a_twentieth_of_the_time_before_the_end(fit, drawn, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pictures, "time", clock)

    def draw(moment):
        clock.now += 10
        return gallery.plots.activations({"relu": (torch.relu, torch.relu)})

    def work(trainer):
        clock.now += 50

    monkeypatch.setattr(gallery, "PICTURES", [Picture("slow", LegendreCubic, Sine, draw)])
    fit(LegendreCubic(), Sine(**SINE), Each(work), max_epochs=20)
    assert drawn() == {"slow": [3 * epoch - 1 for epoch in (1, 16, 20)]}  # 30 s of 1,000: there is no room for more


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (lambda: MLP(hidden_dims=[8, 8], dropout=0.5, batch_norm=True), lambda root: FashionMNIST(root, batch_size=18)),
        (DynamicPolynomial, lambda _: Sine(**SINE)),
        (ManualCubic, lambda _: Sine(**SINE)),
    ],
)
def test_run_with_pictures_ends_in_the_same_bits(model, data, fit, quick_trainer, fashion_root, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_SHARE", 1e9)  # draw whenever it can be

    def outcome(train, *callbacks):
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(0)
        trained = model()
        optimizer = train(trained, data(str(fashion_root)), *callbacks, max_epochs=3).optimizers[0]
        weights = torch.cat([value.flatten().double() for value in trained.state_dict().values()])
        modes = [module.training for module in trained.modules()]
        return (
            weights.tolist(),
            str(optimizer.state_dict()),
            modes,
            torch.rand(3).tolist(),
            np.random.rand(),
            random.random(),
        )

    def plain(trained, data, **arguments):
        trainer = quick_trainer(**arguments)
        trainer.fit(trained, data)
        return trainer

    def disturb(moment):
        torch.rand(5), np.random.rand(5), random.random()
        raise ValueError("no picture")

    noise = Picture("noise", model if isinstance(model, type) else MLP, InMemory, disturb)
    monkeypatch.setattr(gallery, "PICTURES", [*gallery.PICTURES, noise])
    with pytest.warns(UserWarning, match="the picture 'noise' is left out from now on: ValueError: no picture"):
        drawn = outcome(fit, Details())
    assert drawn == outcome(plain)


def test_picture_that_fails_is_left_out_with_one_warning(fit, drawn, monkeypatch):
    def fail(moment):
        raise RuntimeError("out of ink")

    monkeypatch.setattr(pictures, "MAX_SHARE", 1e9)
    monkeypatch.setattr(gallery, "PICTURES", [Picture("broken", LegendreCubic, Sine, fail), *gallery.PICTURES])
    with pytest.warns(UserWarning, match="left out") as caught:
        trainer = fit(LegendreCubic(), Sine(**SINE), max_epochs=4)
    assert [str(one.message) for one in caught if "picture" in str(one.message)] == [
        "the picture 'broken' is left out from now on: RuntimeError: out of ink"
    ]
    assert trainer.state.finished
    assert drawn() == {"fit": [2, 5, 11]}


@pytest.mark.parametrize("logger", [False, CSVLogger("csv")])
def test_nothing_is_drawn_without_a_logger_that_shows_it(logger, fit, drawn, monkeypatch):
    def draw(moment):
        pytest.fail("nobody sees this")

    monkeypatch.setattr(gallery, "PICTURES", [Picture("unseen", LegendreCubic, Sine, draw, note=draw, follow=draw)])
    assert fit(LegendreCubic(), Sine(**SINE), logger=logger).state.finished


@pytest.mark.parametrize(("error", "tags"), [(Stopped(15), {"fit": [5]}), (RuntimeError("broken"), {})])
def test_stopped_run_has_pictures_and_failed_run_has_none(error, tags, fit, drawn):
    def end(trainer):
        if trainer.current_epoch == 1:
            raise error

    with pytest.raises(type(error)):
        fit(LegendreCubic(), Sine(**SINE), Each(end), max_epochs=3)
    assert drawn() == tags


def test_path_of_the_coefficients_has_every_early_step_and_the_least_squares_solution(fit, given):
    model = AutogradCubic(1e-6)
    loaders = []
    look = Each(lambda trainer: loaders.append(type(trainer.fit_loop._data_fetcher.combined_loader)))
    several = (StepSeeds(0), SeveralUpdates(10), Details(), look)
    fit(model, Sine(num_points=2000, repeats=50), *several, max_epochs=2, logger=[TensorBoardLogger("one")])
    assert loaders == 2 * [UpdatingLoader]  # ten at a time all the same
    taken, path, limit, _ = given["coefficient_paths"]
    assert taken[:12] == [*range(12)]
    assert taken[-1] == 100
    assert len(taken) < 50
    assert torch.equal(path[-1], model.coefficients.detach())
    assert not torch.equal(path[0], path[1])
    assert limit.tolist() == pytest.approx([0, 0.8567, 0, -0.0933], abs=1e-4)


def test_confusion_matrix_and_mistakes_are_those_of_the_validation_data(fit, given, fashion_root):
    data, model = FashionMNIST(str(fashion_root), val_fraction=0.9, batch_size=7), MLP(hidden_dims=[8], dropout=0.9)
    fit(model, data, max_epochs=2)
    images, truth = data.val
    probability, guess = model.eval()(images / 255).softmax(dim=1).max(dim=1)
    counts, names, _ = given["confusion_matrix"]
    expected = torch.zeros(10, 10, dtype=torch.long)
    for pair in zip(truth, guess, strict=True):
        expected[pair] += 1
    assert torch.equal(counts, expected)
    assert names == list(data.classes)
    wrong = sorted(zip(probability.tolist(), truth.tolist(), guess.tolist(), strict=True), reverse=True)
    wrong = [(names[t], f"{names[g]}? {p:.2f}") for p, t, g in wrong if t != g]
    shown, captions, title = given["mistakes"]
    assert captions == wrong[:36]
    assert len(shown) == len(captions) == 36
    assert title.startswith(f"MLP: the 36 most confident of {len(wrong)} mistakes")


def test_learned_weights_are_compared_with_the_planted_ones(fit, given):
    model, data = LinearRegression(), Houses(num_examples=500)
    fit(model, data, max_epochs=3)
    learned, planted, names, _ = given["planted_weights"]
    assert planted.tolist() == pytest.approx([2, -3.4, 4.2])
    assert learned.tolist() == pytest.approx([2, -3.4, 4.2], abs=0.1)
    assert names == ["weight 1", "weight 2", "bias"]


def test_pictures_show_data_as_in_validation(fit, given):
    class Augmented(Blobs):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            x, y = batch
            return (torch.zeros_like(x), y) if self.trainer.training else (x, y)

    model, data = Own(), Augmented(12)
    fit(model, data)
    counts, _, _ = given["confusion_matrix"]
    guess = model.eval()(data.val[0]).argmax(dim=1)
    assert counts.sum(dim=0).tolist() == guess.bincount(minlength=3).tolist()
    assert counts.sum(dim=0).tolist() != [0, 0, 30]
