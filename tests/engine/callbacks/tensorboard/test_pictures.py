import random
import signal

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.repeated import first_quick
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
    plots,
)
from firstlight.engine.callbacks import (
    Details,
    Pictures,
    SeveralUpdates,
    StepSeeds,
    Stopped,
)
from firstlight.engine.callbacks.updates import UpdatingLoader
from firstlight.gallery import Picture, moments


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


def small(*_):
    """Draw next to nothing, which takes no time."""
    return Figure(figsize=(0.1, 0.1))


@pytest.fixture
def given(monkeypatch):
    """Return a dictionary that fills with what functions of ``plots`` are given, which then draw next to nothing."""
    seen = {}
    for name in plots.__all__:

        def keep(*args, name=name):
            seen[name] = args
            return small()

        monkeypatch.setattr(plots, name, keep)
    return seen


SINE = {"num_points": 40, "repeats": 3}
CLASSES = {"confusion matrix", "mistakes"}


@pytest.mark.parametrize(
    ("model", "data", "tags"),
    first_quick(
        5,
        [
            (AutogradCubic, lambda _: Sine(**SINE), {"fit", "coefficients"}),
            (LinearRegression, lambda _: Houses(num_examples=20), {"planted weights"}),
            (lambda: MLP(hidden_dims=[8]), FashionMNIST, {"first layer", *CLASSES}),
            (lambda: Own(27), lambda _: Blobs(3, 3, 3), CLASSES),
            (lambda: Own(2), lambda _: Blobs(2), {"confusion matrix", "decision boundary"}),
            (ManualCubic, lambda _: Sine(**SINE), {"fit", "coefficients"}),
            (LegendreCubic, lambda _: Sine(**SINE), {"fit"}),
            (DynamicPolynomial, lambda _: Sine(**SINE), {"fit"}),
            (lambda: LinearRegression(3), lambda _: Sine(num_powers=3, **SINE), {"fit"}),
            (TwoLayerNetwork, lambda _: Sine(num_powers=3, scale_target=True, **SINE), {"fit"}),
            (Neuron, lambda _: PlantedNeuron(num_examples=20), {"planted weights"}),
            (SoftmaxRegression, FashionMNIST, {"weights", *CLASSES}),
            (NeuralNetwork, FashionMNIST, {"first layer", *CLASSES}),
            (Own, lambda _: Blobs(1, 3, 4), CLASSES),
            (Own, lambda _: Blobs(12), {"confusion matrix"}),
        ],
    ),
)
def test_model_on_its_data_gets_the_pictures_listed_for_it(model, data, tags, fit, drawn, fashion_root):
    trainer = fit(model(), data(str(fashion_root)))
    later = {"learning curves", "coefficients", "planted weights", "first layer"}  # they need a step or an epoch
    both = [0, trainer.global_step - 1]
    assert drawn() == {tag: both[tag in later :] for tag in tags | {"learning curves"}}


@pytest.mark.parametrize(("epochs", "drawn_after"), [(1, [0, 1]), (3, [0, 1, 3]), (7, [0, 1, 7]), (8, [0, 1, 4, 8])])
def test_epochs_that_are_drawn_depend_on_the_length_of_the_run_alone(epochs, drawn_after, fit, drawn, given):
    fit(LegendreCubic(), Sine(**SINE), max_epochs=epochs)
    steps = [max(3 * epoch - 1, 0) for epoch in drawn_after]
    assert drawn() == {"fit": steps, "learning curves": steps[1:]}


def events_of(folder, *tags):
    """Return the values of some scores in the event files, by number of steps."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: {point.step + 1: pytest.approx(point.value) for point in events.Scalars(tag)} for tag in tags}


def test_learning_curves_have_the_values_of_the_event_files(fit, given, tmp_path):
    model, data = LinearRegression(), Houses(num_examples=40)
    fit(model, data, max_epochs=3, val_check_interval=0.5)
    (scores, *_) = given["learning_curves"]
    logged = events_of(tmp_path / "logs", "loss/train", "loss/val")
    assert scores["loss"] == {"train": logged["loss/train"], "val": logged["loss/val"]}
    assert [*map(len, scores["loss"].values())] == [3, 6]


@pytest.mark.pictures
@pytest.mark.parametrize("stop", [pytest.param(3, marks=pytest.mark.slow), 9])
def test_pictures_of_a_resumed_run_are_those_of_an_unbroken_one(stop, did, firstlight, given, monkeypatch):
    words = ("--config=autograd_cubic", "--data.num_points=20", "--data.repeats=5", "--trainer.max_epochs=3")
    did("fit", *words, "--name=whole")
    whole, step = dict(given), AutogradCubic.training_step
    signals = [signal.SIGINT]

    def stopping(self, *args):
        if signals and self.trainer.global_step == stop:
            signal.raise_signal(signals.pop())
        return step(self, *args)

    monkeypatch.setattr(AutogradCubic, "training_step", stopping)
    assert firstlight("fit", *words, "--name=broken").status == 130
    given.clear()
    did("fit", "--resume=broken")
    assert given["learning_curves"] == whole["learning_curves"]
    assert given["curve_fit"][2].keys() == whole["curve_fit"][2].keys()
    assert given["weight_paths"][0] == whole["weight_paths"][0]
    for one, other in zip(given["curve_fit"][2].values(), whole["curve_fit"][2].values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (lambda: MLP(hidden_dims=[8, 8], dropout=0.5, batch_norm=True), lambda root: FashionMNIST(root, batch_size=18)),
        pytest.param(DynamicPolynomial, lambda _: Sine(**SINE), marks=pytest.mark.slow),
        pytest.param(ManualCubic, lambda _: Sine(**SINE), marks=pytest.mark.slow),
    ],
)
def test_run_with_pictures_ends_in_the_same_bits(model, data, fit, quick_trainer, fashion_root, monkeypatch):

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

    noise = Picture("noise", disturb)
    monkeypatch.setattr(moments, "PICTURES", [*moments.PICTURES, noise])
    with pytest.warns(UserWarning, match="the picture 'noise' is left out from now on: ValueError: no picture"):
        drawn = outcome(fit, Details())
    assert drawn == outcome(plain)


def test_picture_that_fails_is_left_out_with_one_warning(fit, drawn, given, monkeypatch):
    def fail(moment):
        raise RuntimeError("out of ink")

    monkeypatch.setattr(moments, "PICTURES", [Picture("broken", fail), *moments.PICTURES])
    with pytest.warns(UserWarning, match="left out") as caught:
        trainer = fit(LegendreCubic(), Sine(**SINE), max_epochs=4)
    assert [str(one.message) for one in caught if "picture" in str(one.message)] == [
        "the picture 'broken' is left out from now on: RuntimeError: out of ink"
    ]
    assert trainer.state.finished
    assert drawn() == {"fit": [0, 2, 11], "learning curves": [2, 11]}


@pytest.mark.parametrize("logger", [False, CSVLogger("csv")])
def test_nothing_is_drawn_without_a_logger_that_shows_it(logger, fit, drawn, monkeypatch):
    def draw(moment):
        pytest.fail("nobody sees this")

    monkeypatch.setattr(moments, "PICTURES", [Picture("unseen", draw)])
    assert fit(LegendreCubic(), Sine(**SINE), logger=logger).state.finished


@pytest.mark.parametrize(("error", "steps"), [(Stopped(15), [0, 2, 5]), (RuntimeError("broken"), [0, 2])])
def test_stopped_run_has_pictures_of_its_end_and_failed_run_has_none(error, steps, fit, drawn, given):
    def end(trainer):
        if trainer.current_epoch == 1:
            raise error

    with pytest.raises(type(error)):
        fit(LegendreCubic(), Sine(**SINE), Each(end), max_epochs=3)
    assert drawn()["fit"] == steps


def test_path_of_the_coefficients_has_every_early_step_and_the_least_squares_solution(fit, given):
    model = AutogradCubic(1e-6)
    loaders = []
    look = Each(lambda trainer: loaders.append(type(trainer.fit_loop._data_fetcher.combined_loader)))
    several = (StepSeeds(0), SeveralUpdates(10), Details(), look)
    fit(model, Sine(num_points=2000, repeats=50), *several, max_epochs=2, logger=[TensorBoardLogger("one")])
    assert loaders == 2 * [UpdatingLoader]  # ten at a time all the same
    taken, path, limit, *_ = given["weight_paths"]
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
    wrong = [(names[t], f"{int(100 * p)}% {names[g]}") for p, t, g in wrong if t != g]
    shown, captions, title = given["mistakes"]
    assert captions == wrong[:16]
    assert len(shown) == len(captions) == 16
    assert title.startswith(f"MLP: most confident of {len(wrong)} mistakes")


def test_learned_weights_are_drawn_on_their_way_to_the_planted_ones(fit, given):
    model, data = LinearRegression(), Houses(num_examples=500)
    fit(model, data, max_epochs=3)
    steps, path, planted, names, *_ = given["weight_paths"]
    assert (steps[:3], steps[-1]) == ([0, 1, 2], 150)
    assert planted.tolist() == pytest.approx([2, -3.4, 4.2])
    assert path[-1].tolist() == pytest.approx([2, -3.4, 4.2], abs=0.1)
    assert path[0].abs().max() < 0.1
    assert names == ["area", "age", "bias"]


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
