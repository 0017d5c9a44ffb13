"""A user's mistake costs at most three lines (the fixture ``complaint`` counts them): exactly these."""

import os
from pathlib import Path

import pytest

from firstlight.engine.command.configs import config_names

MODULES = "configs may name classes of firstlight, lightning.pytorch, torch.optim and torch.nn"
TYPED = {
    "--model.lrr=0.1": "model.lrr: model (AutogradCubic) has no setting 'lrr'; did you mean 'model.lr'?",
    "--model.init_args.lrr=0.1": "model.lrr: model (AutogradCubic) has no setting 'lrr'; did you mean 'model.lr'?",
    "--data.colour=red": "data.colour: data (Sine) has no setting 'colour'; "
    "settings: batch_size, fold, num_folds, num_points, num_powers, repeats, scale_target, seed",
    "--trainer.max_epoch=3": "trainer.max_epoch: trainer has no setting 'max_epoch'; "
    "did you mean 'trainer.max_epochs'?",
    "--model.lr=abc": "model.lr is 'abc': expected a number above 0",
    "--model.lr=-1": "model.lr is '-1': expected a number above 0",
    "--data.num_points=many": "data.num_points is 'many': expected a whole number above 0",
    "--data.batch_size=0": "data.batch_size is '0': expected a whole number above 0",
    "--data.scale_target=perhaps": "data.scale_target is 'perhaps': expected true or false",
    "--seed_everything=-1": "seed_everything is '-1': expected true or false or a whole number from 0 to 4294967295",
    "--checkpoint.every_n_steps=0": "checkpoint.every_n_steps is '0': expected a whole number above 0",
    "--checkpoint.mode=highest": "checkpoint.mode is 'highest': expected one of min, max",
    "--checkpoint.monitor=acuracy": "checkpoint.monitor is 'acuracy', but the model logs loss/val",
    "--model=AutogradCubik": "model: there is no class 'AutogradCubik'; did you mean 'AutogradCubic'?",
    "--model=subprocess.Popen": f"model: 'subprocess.Popen' is not imported: {MODULES}\n"
    "add your own package with FIRSTLIGHT_PACKAGES=subprocess",
    "--trainer.accelerator=banana": None,  # Lightning's list of accelerators is in no order
    "--trainer.strategy=fsdp": "trainer.strategy is fsdp: The strategy `fsdp` requires a GPU accelerator, but received "
    "`accelerator='cpu'`. Please set `accelerator='cuda'`, `accelerator='gpu'`, or pass a `CUDAAccelerator()` instance "
    "to use FSDP.",
    "--trainer.devices=0": "trainer.devices is 0: `Trainer(devices='0')` "
    "value is not a valid input using cpu accelerator.",
    "--trainer.devices=999": f"trainer.devices is 999: this machine has {max(os.cpu_count(), 2)} processor cores",
    "--trainer.max_epochs=-5": "trainer.max_epochs is -5: `max_epochs` must be a non-negative integer or -1",
    "--trainer.limit_train_batches=0": "trainer.limit_train_batches is 0: there is nothing to train on",
    "--model=": "model is '': expected a class, or null for none",
    "--lr_scheduler=": "lr_scheduler is '': expected a class, or null for none",
    "--trainer.devices=": "trainer.devices is '': `devices` selected with `CPUAccelerator` should be an int > 0.",
    "--trainer.max_epochs=0": "trainer.max_epochs is 0: there is nothing to train on",
    "--optimizer=Adamm": "optimizer: there is no class 'Adamm'; did you mean 'Adam'?",
    "--optimizer=Adam --optimizer.lrr=1": "optimizer.lrr: optimizer (Adam) has no setting 'lrr'; "
    "did you mean 'optimizer.lr'?",
    "--optimizer=Adam --optimizer.lr=fast": "optimizer.lr is 'fast': expected a number",
    "--lr_scheduler=StepLRR": "lr_scheduler: there is no class 'StepLRR'; did you mean 'StepLR'?",
    "--lr_scheduler=StepLR": "lr_scheduler needs a value for step_size",
    "--ckpt_path=nope.ckpt": "--ckpt_path: there is no checkpoint nope.ckpt",
    "--ckpt_path=last": "--ckpt_path last: no run 'autograd_cubic' in lightning_logs; there are no runs yet",
    "--ckpt_path=http://127.0.0.1:1/x.ckpt": "--ckpt_path: there is no checkpoint http://127.0.0.1:1/x.ckpt",
}


@pytest.mark.parametrize("flags", TYPED)
def test_mistake_in_a_flag_is_answered_in_a_line_with_what_is_right(flags, complaint):
    status, message = complaint("fit", "-c", "autograd_cubic", "-c", "presets/limit", *flags.split())
    assert status == 2
    assert message == (TYPED[flags] or message)
    assert not Path("lightning_logs/autograd_cubic/version_1").exists()


WRITTEN = {
    "trainer:\n  max_epoch: 3\n": "trainer.max_epoch (my.yaml, line 2): trainer has no setting 'max_epoch'; "
    "did you mean 'trainer.max_epochs'?",
    "model:\n  class_path: AutogradCubic\n  init_args:\n    lrr: 3\n": "model.lrr (my.yaml, line 4): "
    "model (AutogradCubic) has no setting 'lrr'; did you mean 'model.lr'?",
    "# mine\nmodel:\n  init_args:\n    lr: -1\n": "model.lr is '-1' (my.yaml, line 4): expected a number above 0",
    "model:\n  class_path: MLPP\n": "model (my.yaml, line 2): there is no class 'MLPP'; did you mean 'MLP'?",
    "data:\n  class_path: Sinus\n": "data (my.yaml, line 2): there is no class 'Sinus'; did you mean 'Sine'?",
    "trainer:\n  callbacks:\n  - class_path: EarlyStoping\n": "trainer.callbacks (my.yaml, line 3): "
    "there is no class 'EarlyStoping'; did you mean 'EarlyStopping'?",
    "trainer:\n  callbacks:\n  - class_path: EarlyStopping\n    init_args:\n      monitorr: loss/val\n": (
        "trainer.callbacks.monitorr (my.yaml, line 5): trainer.callbacks (EarlyStopping) has no setting 'monitorr'; "
        "did you mean 'trainer.callbacks.monitor'?"
    ),
    "trainer:\n  callbacks:\n  - class_path: LambdaCallback\n    init_args:\n      on_fit_start: os.getcwd\n": (
        f"trainer.callbacks.on_fit_start (my.yaml, line 5): 'os.getcwd' is not imported: {MODULES}\n"
        "add your own package with FIRSTLIGHT_PACKAGES=os"
    ),
    "trainer: {max_epochs: 3\nmodel: [\n": "my.yaml, line 2: expected ',' or '}', but got ':'",
    "model: !!python/object/apply:os.getcwd []\n": "my.yaml, line 1: could not determine a constructor for the tag "
    "'tag:yaml.org,2002:python/object/apply:os.getcwd'",
    "": "my.yaml is empty",
    "some words\n": "my.yaml holds no settings: expected lines like 'trainer:', got 'some words'",
    "- a\n- list\n": "my.yaml holds no settings: expected lines like 'trainer:', got \"['a', 'list']\"",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_mistake_in_a_config_is_answered_with_its_file_and_line(text, complaint):
    Path("my.yaml").write_text(text)
    assert complaint("fit", "-c", "autograd_cubic", "-c", "presets/limit", "-c", "my.yaml") == (2, WRITTEN[text])


def test_value_of_few_choices_is_answered_with_them(complaint):
    message = "trainer.deterministic is 'maybe': expected true or false or one of warn"
    assert complaint("fit", "-c", "autograd_cubic", "--trainer.deterministic=maybe") == (2, message)
    limited = "trainer.precision is 'half': expected one of"
    status, message = complaint("fit", "-c", "autograd_cubic", "--trainer.precision", "half")
    assert (status, message[: len(limited)]) == (2, limited)
    status, message = complaint("fit", "-c", "mlp", "--model.activation", "rellu")
    assert message == "model.activation is 'rellu': expected one of relu, gelu, sigmoid, tanh; did you mean 'relu'?"
    assert status == 2


def test_number_out_of_range_is_answered_with_the_range(complaint):
    assert complaint("fit", "-c", "mlp", "--model.dropout=1.5") == (
        2,
        "model.dropout is '1.5': expected a number from 0 to 1",
    )
    assert complaint("fit", "-c", "mlp", "--model.hidden_dims=[8, 0]") == (
        2,
        "model.hidden_dims is '[8, 0]': expected a whole number above 0",
    )


def test_binary_file_is_no_config(complaint):
    Path("my.yaml").write_bytes(b"\xd9\x00\xff")
    assert complaint("fit", "-c", "my.yaml") == (2, "my.yaml is not text in UTF-8 (byte 0)")


def test_folder_is_no_config(complaint):
    Path("mine").mkdir()
    assert complaint("fit", "-c", "mine") == (2, "--config mine: this is a folder, not a file")


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--print_config=all", "--print_config=all is not available: choose skip_default or skip_unset"),
        (
            "--trainer.plugins=lightning.pytorch.plugins.io.AsyncCheckpointIO",
            "trainer.plugins: AsyncCheckpointIO cannot write a run's checkpoints: they are always atomic",
        ),
    ],
)
def test_form_of_lightning_s_that_is_not_taken_is_refused_in_plain_words(flag, expected, complaint):
    assert complaint("fit", "-c", "autograd_cubic", flag) == (2, expected)


@pytest.mark.parametrize("words", [["fit"], ["fit", "--trainer.max_epochs=1"], ["test", "--ckpt_path=none"]])
def test_command_without_a_model_is_told_how_to_name_one(words, complaint):
    expected = "no model is named: choose a config with --config NAME, or name it with --model"
    assert complaint(*words) == (2, expected)


FOREIGN = """
from torch.nn import Linear as Net

class Old(Net):
    __module__ = "pytorch_lightning.core.module"
"""


def test_class_of_another_kind_is_answered_with_the_kind_expected(complaint, monkeypatch):
    Path("foreign.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "foreign")
    Path("own.yaml").write_text("model:\n  class_path: foreign.Net\n  init_args:\n    lr: 1\n")
    no_module = "'foreign.Net' is no LightningModule"
    assert complaint("fit", "--model=foreign.Net") == (2, f"model: {no_module}")
    assert complaint("fit", "--config=own.yaml") == (2, f"model (own.yaml, line 2): {no_module}")
    assert complaint("fit", "--model=MLP", "--data=foreign.Net") == (2, "data: 'foreign.Net' is no LightningDataModule")
    old = "'foreign.Old' is no LightningModule of lightning, but of pytorch_lightning"
    assert complaint("fit", "--model=foreign.Old") == (2, f"model: {old}\nimport lightning.pytorch as pl, in its file")


def test_unknown_names_are_answered_with_the_nearest_or_all(complaint):
    assert complaint("fitt") == (2, "no command 'fitt'; did you mean 'fit'?")
    assert complaint("fit", "-c", "autograd_cubik") == (
        2,
        "--config autograd_cubik: no such file, and no config of that name; did you mean 'autograd_cubic'?",
    )
    assert complaint("fit", "-c", "zzz") == (
        2,
        f"--config zzz: no such file, and no config of that name; configs: {', '.join(config_names())}",
    )


def test_flag_may_not_be_abbreviated(complaint):
    status, message = complaint("fit", "-c", "autograd_cubic", "--trainer.max_ep", "3")
    assert (status, message.partition(";")[0]) == (2, "trainer.max_ep: trainer has no setting 'max_ep'")


def test_run_that_is_not_there_is_asked_for_in_vain(complaint, did):
    which = "\nor pass --ckpt_path FILE (--ckpt_path none scores the untrained model)"
    train = "no run in lightning_logs: train one first, with firstlight fit --config NAME"
    assert complaint("test") == (2, train + which)
    assert complaint("fit", "--resume") == (2, train)
    did("fit", "-c", "autograd_cubic", "-c", "presets/limit")
    assert complaint("test", "-c", "mlp") == (2, "no run 'mlp' in lightning_logs; runs: autograd_cubic" + which)
    expected = "no run 'autograd_cubik' in lightning_logs; did you mean 'autograd_cubic'?"
    assert complaint("fit", "--resume", "autograd_cubik") == (2, expected)
    assert complaint("runs", "autograd_cubik") == (2, expected)


def test_data_that_cannot_be_had_are_named_with_their_files(complaint, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://127.0.0.1:1/"])
    status, message = complaint("fit", "-c", "mlp", "--data.root", "images")
    first, second, third = message.splitlines()
    assert status == 1
    assert first.startswith("no Fashion-MNIST in images, and it could not be downloaded: ")
    assert second == (
        "put these files, unpacked, into images/FashionMNIST/raw: "
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
    )
    assert third == "or name the folder that holds FashionMNIST/raw with --data.root or FIRSTLIGHT_DATA"
    assert not Path("images/FashionMNIST").exists()


def test_damaged_image_file_is_named(complaint, fashion_root):
    file = fashion_root / "FashionMNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    assert complaint("fit", "-c", "mlp", "--data.root", fashion_root) == (
        1,
        f"{file} is damaged: 47055 bytes, its header promises 47056; delete it to have it downloaded again",
    )


def test_folder_that_cannot_be_written_is_named(complaint):
    Path("file").touch()
    status, message = complaint("fit", "-c", "autograd_cubic", "--trainer.default_root_dir", "file")
    assert (status, message) == (1, "[Errno 20] Not a directory: 'file/lightning_logs/autograd_cubic'")


def test_run_that_never_began_leaves_no_folder(complaint):
    complaint("fit", "-c", "autograd_cubic", "--trainer.accelerator", "banana")
    complaint("fit", "-c", "autograd_cubic", "--trainer.devices", "0")
    assert not list(Path("lightning_logs").glob("*"))


def test_debug_shows_the_traceback(firstlight, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DEBUG", "1")
    status, _, err = firstlight("fit", "-c", "nope")
    assert status == 2
    assert "Traceback (most recent call last)" in err
    assert "\nerror: --config nope: no such file" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.max_epochs=3"], "trainer.max_epochs=3: settings are flags: --trainer.max_epochs 3"),
        (["mlp"], "mlp: did you mean --config mlp?"),
        (["--lr", "0.1"], "lr: there is no such setting; did you mean 'model.lr'?"),
        (["--epochs", "3"], "epochs: there is no such setting; did you mean 'trainer.max_epochs'?"),
        (["--num_points", "3"], "num_points: there is no such setting; did you mean 'data.num_points'?"),
        (
            ["--trainer.callbacks", "EarlyStopping(monitor=a)"],
            "trainer.callbacks: name EarlyStopping alone, and set its ",
        ),
        (
            ["--trainer.callbacks.monitor=a"],
            "trainer.callbacks: no class is named: set --trainer.callbacks CLASS before",
        ),
    ],
)
def test_what_other_command_lines_take_is_answered_with_what_to_type(words, expected, complaint):
    status, message = complaint("fit", "--config", "autograd_cubic", *words)
    assert status == 2
    assert message.startswith(expected)
