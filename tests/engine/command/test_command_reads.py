"""On the way to the Trainer each config, and the checkpoint, is read once."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")
OPENED = []


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | Path):
        path, mode, flags = arguments
        if mode == "r" or (mode is None and not flags & (os.O_WRONLY | os.O_RDWR)):  # os.open has no mode
            OPENED.append(Path(path).name)


sys.addaudithook(note)  # for good: a hook cannot be taken back


@pytest.fixture
def reads(did):
    """Return a function that types a command and counts how often it reads each config."""

    def count(*words):
        OPENED.clear()
        did(*words)
        return Counter(name for name in OPENED if name.endswith(".yaml") and name != "hparams.yaml")

    return count


def test_each_config_is_read_once(reads):
    configs = ("--config", "presets/limit", *SMALL)
    assert reads("fit", *configs) == {"limit.yaml": 1, "autograd_cubic.yaml": 1}
    assert reads("fit", "--resume", "--trainer.max_epochs=2") == {"config.yaml": 1}
    assert reads("fit", "--config", "autograd_cubic", "--resume") == {"config.yaml": 1, "autograd_cubic.yaml": 1}
    assert reads("test", "--config", "autograd_cubic") == {"config.yaml": 1, "autograd_cubic.yaml": 1}
    assert reads("test", "--run", "autograd_cubic/version_0", "-c", "presets/limit") == {
        "config.yaml": 1,
        "limit.yaml": 1,
    }


def test_checkpoint_is_read_once_and_then_forgotten(did, monkeypatch):
    did("fit", *SMALL)
    loaded = []
    from firstlight.engine.runs import checkpoint_files, loading

    load = checkpoint_files.load_checkpoint
    for module in (checkpoint_files, loading):
        monkeypatch.setattr(module, "load_checkpoint", lambda path: loaded.append(str(path)) or load(path))
    best = "lightning_logs/autograd_cubic/version_0/checkpoints/best.ckpt"
    did("test")
    did("predict", "--ckpt_path", best)
    assert loaded == [best, best]
    loaded.clear()
    did("fit", "--resume", "--trainer.max_epochs=2")
    assert loaded == [best.replace("best", "last")]
