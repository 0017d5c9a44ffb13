"""Settings by dotted key, with the places where they are written."""

import pytest

from firstlight.engine.command.settings import (
    Setting,
    flatten,
    short_key,
    split_files,
    typed_settings,
    written_settings,
)

TEXT = """\
# a comment
model:
  class_path: MLP
  init_args:
    lr: 0.1
trainer:
  callbacks:
  - class_path: EarlyStopping
    init_args: {monitor: loss/val}
"""


@pytest.mark.parametrize(
    ("key", "short"),
    [("model.init_args.lr", "model.lr"), ("model.class_path", "model"), ("trainer.max_epochs", "trainer.max_epochs")],
)
def test_short_key_is_the_one_that_is_typed(key, short):
    assert short_key(key) == short


def test_written_settings_have_their_file_and_line():
    places = {setting.key: setting.place for setting in written_settings(TEXT, "my.yaml")}
    assert places["model.lr"] == "my.yaml, line 5"
    assert places["trainer.callbacks.monitor"] == "my.yaml, line 9"
    assert Setting("model", "MLP", "my.yaml, line 3") in list(written_settings(TEXT, "my.yaml"))


def test_typed_settings_are_those_of_flags_in_either_spelling():
    flags = ["--model.init_args.lr=0.1", "--trainer.max_epochs", "3", "--print_config", "--data", "Sine"]
    assert [(setting.key, setting.value) for setting in typed_settings(flags)] == [
        ("model.lr", "0.1"),
        ("trainer.max_epochs", "3"),
        ("print_config", ""),
        ("data", "Sine"),
    ]


def test_flat_settings_have_dotted_keys():
    nested = {"model": {"class_path": "MLP", "init_args": {"lr": 0.1}}, "optimizer": None, "x": {}}
    assert dict(flatten(nested)) == {"model.class_path": "MLP", "model.lr": 0.1, "optimizer": None, "x": {}}


def test_a_word_that_is_no_flag_and_no_value_of_one_is_a_file():
    words = ["a.png", "--run", "mlp", "--x=1", "b c.csv", "--trainer.devices", "-1", "folder/", "--y"]
    flags, files = split_files(words)
    assert flags == ["--run", "mlp", "--x=1", "--trainer.devices", "-1", "--y"]
    assert files == ["a.png", "b c.csv", "folder/"]
