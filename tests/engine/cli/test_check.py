"""``firstlight check`` finds mistakes without training, and leaves nothing behind."""

import os
import re
from pathlib import Path

import pytest

from firstlight.engine.cli import check

MODEL = "model: {class_path: LinearRegression}\n"
START = MODEL + "data: {class_path: Houses}\n"
ADAM = "optimizer: {class_path: Adam, init_args: {lr: 0.1}}\n"
MISTAKES = {
    START + "trainer: {max_epoch: 3}": "trainer.max_epoch (my.yaml, line 3): trainer has no setting 'max_epoch'; "
    "did you mean 'trainer.max_epochs'?",
    START + "trainer: {max_epochs: three}": "trainer.max_epochs is 'three' (my.yaml, line 3): expected a whole number",
    START: "trainer.max_epochs is not set, nor max_steps or max_time: Lightning trains 1000 epochs",
    START + "trainer: {max_epochs: 1}\ncheckpoint: {monitor: loss/vall}": (
        "checkpoint.monitor is 'loss/vall', but the model logs loss/val"
    ),
    START + "trainer: {max_epochs: 1, callbacks: {class_path: EarlyStopping, init_args: {monitor: acc}}}": (
        "trainer.callbacks: EarlyStopping.monitor is 'acc', but the model logs loss/val, loss/train"
    ),
    START
    + ADAM
    + "trainer: {max_epochs: 1}\nlr_scheduler: {class_path: ReduceLROnPlateau, init_args: {monitor: acc}}": (
        "lr_scheduler.monitor is 'acc', but the model logs loss/val, loss/train"
    ),
    MODEL + "data: {class_path: Houses, init_args: {batch_size: 1001}}\ntrainer: {max_epochs: 1}": (
        "data.batch_size is 1001, more than the 1000 to train on"
    ),
    MODEL + "data: {class_path: Sine, init_args: {num_points: 1}}\ntrainer: {max_epochs: 1}": (
        "Sine (my.yaml, line 2): num_points must be at least 2, the two ends of the curve; got 1"
    ),
    "model: {class_path: SoftmaxRegression, init_args: {num_classes: 9}}\n"
    "data: {class_path: FashionMNIST, init_args: {root: ROOT, batch_size: 54}}\ntrainer: {max_epochs: 1}": (
        "model.num_classes is 9, but the data have 10 classes: T-shirt/top, Trouser, Pullover, Dress, Coat, ..."
    ),
    "trainer: {max_epochs: 1}": "no model is named: choose a config with --config NAME, or name it with --model",
}


def test_shapes_that_do_not_fit_are_found(firstlight):
    Path("my.yaml").write_text(START.replace("}", ", init_args: {num_features: 3}}", 1) + "trainer: {max_epochs: 1}")
    status, out, _ = firstlight("check", "my.yaml")
    assert status == 2
    assert out.startswith("error:   my.yaml: model and data do not fit each other: ")


def test_settings_after_a_config_go_on_top_of_it(firstlight, complaint):
    status, out, _ = firstlight("check", "linear_regression", "--model.num_features", "3")
    assert status == 2
    assert out.startswith("error:   linear_regression: model and data do not fit each other: ")
    assert complaint("check", "--model.lr", "3") == (
        2,
        "firstlight check: a config comes first, as in: firstlight check mlp --model.lr 0.2 (got --model.lr 3)",
    )


@pytest.mark.parametrize("words", [("--config", "linear_regression"), ("--config=linear_regression",)])
def test_config_may_be_named_as_for_fit(words, firstlight):
    assert firstlight("check", *words)[:2] == (0, "ok       linear_regression\n")


def test_batch_that_is_too_small_to_be_shared_is_named(firstlight):
    words = ("linear_regression", "--data.batch_size=1", "--trainer.devices=2", "--trainer.strategy=ddp")
    expected = "error:   linear_regression: a batch of 1 cannot be shared by 2 processes\n"
    assert firstlight("check", *words).out == expected


def one_cycle(total, trainer):
    schedule = f"lr_scheduler: {{class_path: OneCycleLR, init_args: {{max_lr: 0.1, total_steps: {total}}}}}"
    return f"{START}{ADAM}{schedule}\ntrainer: {{{trainer}}}"


@pytest.mark.parametrize("text", MISTAKES)
def test_mistake_is_found_and_worded_as_on_the_command_line(text, firstlight, fashion_root):
    Path("my.yaml").write_text(text.replace("ROOT", str(fashion_root)))
    status, out, err = firstlight("check", "my.yaml")
    assert (status, out, err) == (2, f"error:   my.yaml: {MISTAKES[text]}\n", "")


@pytest.mark.parametrize(
    ("trainer", "steps"),
    [
        pytest.param("max_epochs: 2", 200, marks=pytest.mark.slow),
        ("max_epochs: 2, max_steps: 150", 150),
        pytest.param("max_steps: 70", 70, marks=pytest.mark.slow),
        pytest.param("max_epochs: 2, limit_train_batches: 30", 60, marks=pytest.mark.slow),
        pytest.param("max_epochs: 2, limit_train_batches: 0.25", 50, marks=pytest.mark.slow),
        pytest.param("max_epochs: 2, overfit_batches: 5", 10, marks=pytest.mark.slow),
        ("max_epochs: 2, accumulate_grad_batches: 8", 26),
    ],
)
def test_schedule_must_last_as_long_as_the_run(trainer, steps, firstlight):
    for name, total in {"as_long": steps, "unset": "null", "short": steps - 1, "long": steps + 1}.items():
        Path(f"{name}.yaml").write_text(one_cycle(total, trainer))
    _, out, _ = firstlight("check", "as_long.yaml", "unset.yaml", "short.yaml", "long.yaml")
    text = "lr_scheduler.total_steps is {}, but the run takes {} steps: leave it out, and it is the run's"
    wrong = [
        f"error:   {name}.yaml: " + text.format(total, steps)
        for name, total in (("short", steps - 1), ("long", steps + 1))
    ]
    assert out.splitlines() == ["ok       as_long.yaml", "ok       unset.yaml", *wrong]


@pytest.mark.slow
def test_every_config_and_preset_is_checked_and_nothing_is_written(did, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [])
    before = set(Path().rglob("*"))
    lines = did("check").splitlines()
    names = [line.split()[0] for line in did("configs").splitlines() if line and not re.match("config|preset ", line)]
    assert [re.match(r"\S+ +([\w/]+)", line)[1] for line in lines] == names
    waiting = [line.split()[1] for line in lines if not line.startswith("ok ")]
    images = "mlp mlp_tuned neural_network neural_network_best neural_network_documented softmax_regression"
    own = ["own/image_folder:", "own/table:"]
    if "FIRSTLIGHT_DATA" not in os.environ:
        own = [*(f"{name}:" for name in images.split()), *own, "records/speedrun:"]
    assert waiting == own
    assert set(Path().rglob("*")) == before


def test_images_that_are_not_there_are_skipped_and_damaged_ones_are_not(firstlight, fashion_root):
    text = (
        "model: MLP\ndata: {class_path: FashionMNIST, init_args: {root: ROOT, batch_size: 6}}\ntrainer: {max_epochs: 1}"
    )
    Path("there.yaml").write_text(text.replace("ROOT", str(fashion_root)))
    Path("missing.yaml").write_text(text.replace("ROOT", "nowhere"))
    status, out, _ = firstlight("check", "missing.yaml", "there.yaml")
    file = "FashionMNIST/raw/train-images-idx3-ubyte"
    assert (status, out.splitlines()) == (
        0,
        [f"skipped  missing.yaml: nowhere/{file} cannot be read: No such file or directory", "ok       there.yaml"],
    )
    (fashion_root / file).write_bytes(b"")
    status, out, _ = firstlight("check", "there.yaml")
    assert status == 2
    assert out.startswith(f"error:   there.yaml: {fashion_root / file} is cut off")


OWN = """\
from firstlight import Houses, LinearRegression
class Broken(LinearRegression):
    def test_step(self, batch, batch_idx):
        raise KeyError("boom")
class Removed(Houses):
    def teardown(self, stage):
        del self.train
"""


def test_bug_in_a_class_of_ones_own_is_named_with_its_place_and_the_rest_is_checked(firstlight, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "checked_models")
    Path("checked_models.py").write_text(OWN)
    Path("mine.yaml").write_text(START.replace("LinearRegression", "Broken") + "trainer: {max_epochs: 1}")
    Path("removed.yaml").write_text(START.replace("Houses", "Removed") + "trainer: {max_epochs: 1}")
    status, out, _ = firstlight("check", "mine.yaml", "nope", "removed.yaml")
    first, second, third = out.splitlines()
    assert status == 2
    assert first == "error:   mine.yaml: KeyError('boom') in checked_models.py, line 4"
    assert second.startswith("error:   nope: --config nope: no such file, and no config of that name; configs: ")
    assert third == "ok       removed.yaml"


OWN_CYCLE = """\
from torch.optim.lr_scheduler import OneCycleLR
from firstlight import LinearRegression
class Cycled(LinearRegression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = OneCycleLR(optimizer, max_lr=1e-3, total_steps=150)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
"""


def test_schedule_in_a_model_must_not_end_before_the_run(complaint, did, firstlight, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "cycled_models")
    Path("cycled_models.py").write_text(OWN_CYCLE)
    for epochs in (1, 2):
        text = START.replace("LinearRegression", "Cycled") + f"trainer: {{max_epochs: {epochs}}}"
        Path(f"epochs{epochs}.yaml").write_text(text)
    expected = "OneCycleLR.total_steps is 150, but the run takes 200 steps"
    _, out, _ = firstlight("check", "epochs1.yaml", "epochs2.yaml")
    assert out.splitlines() == ["ok       epochs1.yaml", f"error:   epochs2.yaml: {expected}"]
    did("fit", "-c", "epochs1.yaml")
    assert complaint("fit", "-c", "epochs2.yaml") == (2, expected)


@pytest.mark.parametrize("number", [4, 5])
def test_score_that_nobody_logs_is_named_when_a_run_waits_for_it(number, complaint):
    text = list(MISTAKES)[number]
    Path("my.yaml").write_text(text)
    assert complaint("fit", "-c", "my.yaml") == (2, MISTAKES[text])


def test_monitor_is_checked_by_the_debug_preset_too(complaint):
    words = ("fit", "-c", "linear_regression", "-c", "presets/debug", "--checkpoint.monitor=acc")
    assert complaint(*words) == (2, "checkpoint.monitor is 'acc', but the model logs loss/val")


def test_configs_here_are_checked_alone_unless_all_are_asked_for(did, monkeypatch):
    monkeypatch.setattr(check, "_try", lambda *_: ("ok", ""))
    everything = did("check").splitlines()
    Path("configs/presets").mkdir(parents=True)
    for name in ("mine", "presets/mine"):
        Path(f"configs/{name}.yaml").touch()
    own = ["ok       mine", "ok       presets/mine"]
    assert did("check").splitlines() == [*own, "these are the project's own; all: firstlight check --all"]
    assert sorted(did("check", "--all").splitlines()) == sorted([*own, *everything])
