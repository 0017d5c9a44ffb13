"""What a library refuses late is a mistake in a setting: a line with its key, its file and its line."""

import textwrap
from pathlib import Path

import pytest

from firstlight.engine.command import refusals
from firstlight.engine.command.settings import Setting

BASE = ("--config", "linear_regression", "--pictures=none", "--trainer.max_epochs=1")
OPTIMIZER = "optimizer:\n  class_path: {}\n  init_args: {{lr: 0.1}}"
LATE = {
    "trainer:\n  val_check_interval: 1000": "trainer.val_check_interval is 1000 (late.yaml, line 2): ",
    "trainer:\n  limit_val_batches: 0.001": "trainer.limit_val_batches is 0.001 (late.yaml, line 2): ",
    "trainer:\n  limit_train_batches: 0.001": "trainer.limit_train_batches is 0.001 (late.yaml, line 2): ",
    "trainer:\n  check_val_every_n_epoch: 0": "trainer.check_val_every_n_epoch is 0 (late.yaml, line 2): ",
    "trainer:\n  val_check_interval: 0": "trainer.val_check_interval is 0 (late.yaml, line 2): ",
    "trainer:\n  log_every_n_steps: -1": "trainer.log_every_n_steps is -1 (late.yaml, line 2): ",
    "trainer:\n  gradient_clip_val: -1": "trainer.gradient_clip_val is -1 (late.yaml, line 2): ",
    "trainer:\n  accumulate_grad_batches: -1": "trainer.accumulate_grad_batches is -1 (late.yaml, line 2): ",
    "trainer:\n  max_steps: 0": "trainer.max_steps is 0 (late.yaml, line 2): there is nothing to train on",
    "trainer:\n  max_time: soon": "trainer.max_time is soon (late.yaml, line 2): ",
    "trainer:\n  max_time: 00:00:00:00": "trainer.max_time is 00:00:00:00 (late.yaml, line 2): ",
    "trainer:\n  max_time: {hours: 0}": "trainer.max_time is {'hours': 0} (late.yaml, line 2): ",
    "trainer:\n  max_time: {years: 1}": "trainer.max_time is {'years': 1} (late.yaml, line 2): ",
    "trainer:\n  max_time: {days: 9999999999}": "trainer.max_time is {'days': 9999999999} (late.yaml, line 2): ",
    "trainer:\n  val_check_interval: {seconds: -1}": "trainer.val_check_interval is {'seconds': -1} (late.yaml",
    "trainer:\n  val_check_interval: -1": "trainer.val_check_interval is -1 (late.yaml, line 2): ",
    "trainer:\n  num_sanity_val_steps: -5": "trainer.num_sanity_val_steps is -5 (late.yaml, line 2): ",
    "trainer:\n  min_epochs: -1": "trainer.min_epochs is -1 (late.yaml, line 2): expected 0 or more",
    "trainer:\n  min_steps: -1": "trainer.min_steps is -1 (late.yaml, line 2): expected 0 or more",
    "trainer:\n  gradient_clip_val: .nan": "trainer.gradient_clip_val is .nan (late.yaml, line 2): expected 0 or more",
    "trainer:\n  fast_dev_run: -1": "trainer.fast_dev_run is -1 (late.yaml, line 2): ",
    "trainer:\n  strategy: deepspeed": "trainer.strategy is deepspeed (late.yaml, line 2): ",
    "trainer:\n  profiler: xla": "trainer.profiler is xla (late.yaml, line 2): it needs the package torch_xla",
    "trainer:\n  profiler: XLAProfiler": "trainer.profiler is XLAProfiler (late.yaml, line 2): ",
    "trainer:\n  strategy: nosuch": "trainer.strategy is nosuch (late.yaml, line 2): ",
    "trainer:\n  precision: transformer-engine": "trainer.precision is transformer-engine (late.yaml, line 2): ",
    "optimizer:\n  class_path: Adam\n  init_args:\n    lr: -1": "optimizer.lr is -1 (late.yaml, line 4): ",
    "optimizer:\n  class_path: SGD\n  init_args:\n    lr: .nan": "optimizer.lr is .nan (late.yaml, line 4): ",
    "lr_scheduler:\n  class_path: ExponentialLR\n  init_args: {gamma: .inf}": "lr_scheduler.gamma is .inf (late.yaml, ",
    "optimizer:\n  class_path: SGD\n  init_args:\n    nesterov: true": "optimizer.nesterov is true (late.yaml, line 4)",
    OPTIMIZER.format("Muon"): "optimizer Muon (late.yaml, line 2): Muon only supports 2D parameters",
    OPTIMIZER.format("SparseAdam"): "optimizer SparseAdam (late.yaml, line 2): SparseAdam does not support dense",
    "model:\n  init_args:\n    lr:": "model.lr is null (late.yaml, line 3): ",
    "trainer:\n  callbacks:\n  - class_path: BackboneFinetuning": "trainer.callbacks BackboneFinetuning (late.yaml",
    "trainer:\n  callbacks:\n  - class_path: ModelCheckpoint\n    init_args: {save_top_k: -3}": "ModelCheckpoint (late",
}


REPEATED = (
    *("limit_", "log_every", "accumulate_", "transformer-engine", "nesterov", "SparseAdam"),
    *("min_", "years", "days", "seconds", "XLAProfiler"),
)


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, marks=pytest.mark.slow) if any(map(text.__contains__, REPEATED)) else text for text in LATE],
)
def test_setting_that_a_library_refuses_late_is_named_with_its_line_also_by_check(text, complaint, firstlight):
    Path("late.yaml").write_text(text)
    status, message = complaint("fit", *BASE, "--config", "late.yaml")
    assert status == 2
    assert message.startswith(LATE[text])
    Path("configs/presets").mkdir(parents=True)
    Path("configs/presets/late.yaml").write_text(text)
    checked = firstlight("check", "presets/late")
    assert checked.status == 2
    expected = message.replace("late.yaml", "configs/presets/late.yaml").replace("\n", "\n" + 9 * " ")
    assert checked.out == f"error:   presets/late: {expected}\n"


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_limit_of_zero_leaves_nothing_to_evaluate(stage, did, complaint):
    did("fit", *BASE)
    name = {"validate": "val"}.get(stage, stage)
    status, message = complaint(stage, f"--trainer.limit_{name}_batches=0")
    purpose = "predict" if stage == "predict" else "score"
    assert (status, message) == (2, f"trainer.limit_{name}_batches is 0: there is nothing to {purpose}")
    assert not list(Path().rglob(f"{stage}*.*s*"))


def test_size_that_memory_cannot_hold_is_named(complaint):
    Path("big.yaml").write_text("data:\n  class_path: Sine\n  init_args:\n    num_points: 10000000000000\n")
    status, message = complaint("fit", "--config", "autograd_cubic", "--config", "big.yaml")
    assert status == 2
    assert message.startswith("out of memory: 80000000000000 bytes were asked for at once\n")
    assert message.endswith("the largest is data.num_points, 10000000000000 (big.yaml, line 4)")


@pytest.fixture
def package(monkeypatch, request):
    """Return a function that makes a package of the user's own, outside of the working directory."""

    def make(text):
        folder = Path("packages", request.node.name.partition("[")[0]).absolute()
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(folder.parent))
        monkeypatch.setenv("FIRSTLIGHT_PACKAGES", folder.name)
        Path("here").mkdir()
        monkeypatch.chdir("here")
        return folder / "__init__.py"

    return make


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [("x = 1\ny = nothing", "name 'nothing' is not defined", 2), ("x = 1\n\ndef f(:", "invalid syntax", 3)],
)
def test_package_that_cannot_be_imported_is_named_with_its_line(text, reason, line, package, complaint):
    file = package(text)
    status, message = complaint("fit", *BASE)
    expected = f"{file.parent.name} cannot be imported: {reason} ({file}, line {line})"
    assert (status, message) == (2, f"{expected}\nFIRSTLIGHT_DEBUG=1 shows the traceback")


def test_exception_in_an_init_is_named_with_its_line(package, complaint):
    file = package("""
        from lightning.pytorch import LightningModule
        class FailsInInit(LightningModule):
            def __init__(self):
                super().__init__()
                {}["missing"]
    """)
    expected = f"FailsInInit: KeyError: 'missing' ({file}, line 6)\nFIRSTLIGHT_DEBUG=1 shows the traceback"
    assert complaint("fit", *BASE, "--model", "FailsInInit", "--model.lr", "1")[0] == 2
    Path("own.yaml").write_text("model: FailsInInit\ndata: Sine")
    assert complaint("fit", "--config", "own.yaml") == (2, expected.replace(":", " (own.yaml, line 1):", 1))


def test_error_in_a_users_own_code_is_not_taken_for_a_setting(package, firstlight):
    package("""
        from firstlight import LinearRegression
        class FailsInStep(LinearRegression):
            def training_step(self, batch, batch_idx):
                raise ValueError("lr is 0.1")
    """)
    status, _, err = firstlight("fit", *BASE, "--model", "FailsInStep", "--model.lr=0.1")
    assert status == 1
    assert err.endswith("error: this is a bug, in firstlight or in a class that the config names\n")


def test_setting_is_found_by_its_name_then_by_its_number_and_the_strongest_wins():
    settings = [
        Setting("optimizer.lr", "0.1"),
        Setting("optimizer.eps", "-1"),
        Setting("optimizer.lr", "-1", "a, line 3"),
    ]
    for message, expected in {
        "bad lr: -1": "optimizer.lr is -1 (a, line 3): bad lr: -1",
        "invalid epsilon: -1.0": "optimizer.eps is -1: invalid epsilon: -1.0",
        "no idea": "optimizer: no idea",
    }.items():
        found = settings[:2] if "epsilon" in message else settings
        assert str(refusals.refused_setting(ValueError(message), "optimizer", found)).startswith(expected)
    section = [Setting("trainer", {"max_epochs": 3}, "config.yaml, line 3")]
    assert str(refusals.refused_setting(ValueError("no Trainer"), "trainer", section)) == "trainer: no Trainer"
