"""What is recorded of short runs and of the command line."""

import json
import platform
import re
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

LOSSES = Path(__file__).with_name("losses.json")
COMMAND_LINE = Path(__file__).with_name("command_line.json")
SHORT = (
    "--trainer.limit_train_batches=20",
    "--trainer.log_every_n_steps=1",
    "--pictures=none",
)


EPOCHS = {"mlp_tuned": 12, "neural_network_best": 446}
"""How long the schedules of these configs are: as many epochs of 20 steps as make the steps of their whole runs."""
STOP = (
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=loss/val",
    "--trainer.callbacks.patience=1",
    "--trainer.callbacks.min_delta=1e9",
)
"""Stop after the second epoch, whatever the scores."""


def flags(config, data_class, fashion_root):
    """Return the flags of a shortened run of a config: two epochs of 20 steps, every loss logged."""
    epochs = (f"--trainer.max_epochs={EPOCHS[config]}", *STOP) if config in EPOCHS else ("--trainer.max_epochs=2",)
    small = ("--data.batch_size=10", "--data.repeats=4", f"--data.root={fashion_root}")
    return ["--config", config, *SHORT, *epochs, *(small if data_class.endswith("FashionMNIST") else ())]


def losses(folder):
    """Return the losses of a run's first 20 steps, and the scores that it ended with."""
    events = EventAccumulator(str(folder))
    events.Reload()
    first = [event.value for event in events.Scalars("loss/step")][:20]
    return {"first": first, "end": json.loads((folder / "run.json").read_text())["scores"]}


def machine():
    """Return what the last bits of a float depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


FLAG = re.compile(r"^ +(?:-\w(?:, | \w+, ))?(--[\w.+]+)(.*)$")
OTHERS = re.compile(r"--(trainer|model|data|optimizer|lr_scheduler)\b")  # what Lightning and the classes bring


def ask_for_help(command):
    """Return what to type for the whole help of a command."""
    return [command, "--help=all" if command in ("fit", "validate", "test", "predict") else "--help"]


def own_flags(help_text):
    """Return the flags that a help text names, each with its default, without those that are Lightning's."""
    found, flag = {}, None
    for line in help_text.splitlines():
        if match := FLAG.match(line):
            flag = None if OTHERS.match(match[1]) else match[1]
            found |= {flag: None} if flag else {}
        if flag and (default := re.search(r"default: ([^)]*)\)", line)):  # perhaps on the line below the flag's
            found[flag] = default[1]
    return found
