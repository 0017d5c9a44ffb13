"""Run the real command line with one fault in it, and compare what it leaves behind with an unbroken run.

A fault comes in from outside, through Lightning's entry point for callbacks: nothing in firstlight knows of it.
Where that is safe, a run is a fork of this process, which has imported torch already; elsewhere it is a new one.
"""

import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MethodType

import torch
import yaml
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from firstlight import main
from firstlight.engine.command import command
from firstlight.engine.command.configs import find_config
from firstlight.engine.runs.checkpoint_files import load_checkpoint

HERE = Path(__file__).parent
VARIABLE = "FIRSTLIGHT_FAULT"
FORKING = command.__name__ and hasattr(os, "fork") and not torch.cuda.is_available()  # threads of a GPU do not fork
ALWAYS = {"OMP_NUM_THREADS": "1", "LOCAL_RANK": None, "NODE_RANK": None}
SMALL = {
    "Sine": ("--data.num_points=40", "--data.batch_size=10", "--data.repeats=2"),
    "PlantedNeuron": ("--data.num_examples=40", "--data.batch_size=10", "--data.repeats=2"),
    "Houses": ("--data.num_examples=80",),
    "FashionMNIST": ("--data.batch_size=10", "--data.val_fraction=0.2"),
}


class Fault(Callback):
    """Do something to this process at a step: send it a signal, fill the disk, spoil the weights."""

    def __init__(self, do, where="step", step=0, rank=0):
        self.do, self.where, self.step, self.rank = do, where, step, rank

    def at(self, trainer, where):
        if where == self.where and trainer.global_step >= self.step and self.rank in (trainer.global_rank, "all"):
            self.where = None  # once
            self.happen(trainer)

    def happen(self, trainer):
        if self.do.startswith("SIG"):
            for name in self.do.split():
                os.kill(os.getpid(), getattr(signal, name))
        elif self.do == "full":  # as if the disk were full from here on
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        elif self.do == "block":  # something else stands where the checkpoints go
            (folder,) = Path("lightning_logs").glob("*/*/checkpoints")
            folder.rename(folder.with_name("before"))
            folder.touch()
        elif self.do == "move":
            (folder,) = Path("lightning_logs").glob("*/version_*")
            folder.rename("moved")
        elif self.do == "nan":
            next(trainer.lightning_module.parameters()).data.fill_(torch.nan)
        elif self.do == "cut":  # die with half a file written
            os.fsync = lambda file: (os.ftruncate(file, os.fstat(file).st_size // 2), os.kill(os.getpid(), 9))
        elif self.do == "written":  # die between writing a file and giving it its name
            Path.replace = lambda *_: os.kill(os.getpid(), 9)
        elif self.do == "saved":  # die as soon as last.ckpt has its name
            rename = Path.replace
            Path.replace = lambda path, to: (rename(path, to), Path(to).name != "last.ckpt" or os.kill(os.getpid(), 9))

    def setup(self, trainer, *_, **__):
        self.at(trainer, "setup")

    def on_train_start(self, trainer, *_):
        # from within the optimizer: a hook that sees single steps would have them taken one at a time
        optimizer = trainer.optimizers[0]
        step = optimizer.step

        @functools.wraps(step)
        def faulty(_, *args, **kwargs):
            self.at(trainer, "step")
            return step(*args, **kwargs)

        optimizer.step = MethodType(faulty, optimizer)  # schedules that are made later look for a method

    def on_train_epoch_end(self, trainer, *_):
        self.at(trainer, "epoch")

    def on_validation_batch_start(self, trainer, *_):
        self.at(trainer, "sanity" if trainer.sanity_checking else "validation")

    def on_test_batch_start(self, trainer, *_):
        self.at(trainer, "test")

    def on_predict_batch_start(self, trainer, *_):
        self.at(trainer, "predict")

    def on_save_checkpoint(self, trainer, *_):
        self.at(trainer, "save")


def callbacks():
    """Return the fault that the environment describes; this is what the entry point names."""
    return [Fault(**json.loads(os.environ[VARIABLE]))] if os.environ.get(VARIABLE) else []


@dataclass
class Ended:
    """How a run ended: its exit status (minus a signal's number, or None if it hung) and what it printed."""

    status: int | None
    text: str


def tiny(config, images="fashion"):
    """Return the flags that train a config on next to nothing: three epochs of five to eight steps, three at a time."""
    content = yaml.safe_load(find_config(config).read_text())
    data = content["data"]["class_path"]
    flags = ["fit", "--config", config, "--trainer.max_epochs=3", "--trainer.accelerator=cpu", *SMALL.get(data, ())]
    flags.append("--updates_per_batch=3")
    if data == "FashionMNIST":
        flags.append(f"--data.root={images}")
    if content["model"]["class_path"] == "MLP":
        flags.append("--model.hidden_dims=[8]")
    return flags


@dataclass
class Running:
    """A run under way; to call it is to wait for its end."""

    pid: int
    poll: Callable[[], int | None]
    log: Path

    def __call__(self):
        return Ended(_wait(self.pid, self.poll), self.log.read_text(errors="replace"))


def start(folder, *args, fault=None, real=False, before=None, **environment):
    """Start ``firstlight`` with arguments in a folder; a fork calls ``before`` first."""
    door = folder / ".door" / "faults-0.dist-info"
    door.mkdir(parents=True, exist_ok=True)
    (door / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 0\n")
    (door / "entry_points.txt").write_text("[lightning.pytorch.callbacks_factory]\nfault = harness:callbacks\n")
    paths = [str(HERE), str(door.parent)]
    changes = {**ALWAYS, VARIABLE: json.dumps(fault) if fault else None, **environment}
    args = [str(arg) for arg in args]
    log = folder / ".door" / f"{time.monotonic_ns()}.log"
    if FORKING and not real:
        pid, poll = os.fork(), None
        if pid == 0:
            _become(folder, args, changes, paths, log, before)
    else:
        changes["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
        environ = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
        how = {"cwd": folder, "env": environ, "stdin": subprocess.DEVNULL, "start_new_session": True}
        with log.open("w") as file:
            process = subprocess.Popen([sys.executable, "-m", "firstlight", *args], stdout=file, stderr=file, **how)
        pid, poll = process.pid, process.poll
    return Running(pid, poll or (lambda: _status(pid)), log)


def firstlight(folder, *args, **how):
    """Run ``firstlight`` with arguments in a folder, to its end."""
    folder.mkdir(exist_ok=True)
    return start(folder, *args, **how)()


def together(folder, *args, processes=2, **how):
    """Run ``firstlight`` in several processes, started as torchrun starts them; return how each ended."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    shared = {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "GROUP_RANK": "0",
    }
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    started = [start(folder, *args, **shared, **rank, **how) for rank in ranks]
    return [process() for process in started]


def _become(folder, args, changes, paths, log, before):
    """Turn this fork into the program; it never returns."""
    status = 1
    try:
        os.setsid()
        sys.stdout = sys.stderr = log.open("w", buffering=1)
        os.dup2(sys.stdout.fileno(), 1)
        os.dup2(sys.stdout.fileno(), 2)
        os.chdir(folder)
        sys.path[:0] = paths
        for name, value in changes.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        warnings.resetwarnings()  # pytest makes errors of them, or keeps them
        warnings.showwarning = lambda *args, **_: sys.stderr.write(warnings.formatwarning(*args[:4]))
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # as Python does by itself
        sys.argv = ["firstlight", *args]
        if before:
            before()
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # a fork must not go on as a second pytest
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _status(pid):
    """Return the exit status of a fork, once it has ended."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _wait(pid, poll, timeout=600):
    """Return the exit status of a process that ends with all that it started; None if it had to be ended.

    A sweep of a dozen trials takes half a minute of two cores, and they may have other work.
    """
    deadline = time.monotonic() + timeout
    status = None
    while time.monotonic() < deadline:
        status = poll() if status is None else status
        if status is not None and not _group_lives(pid):
            return status
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    return None


def _group_lives(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def the_run(folder):
    """Return the folder of the only run."""
    (run,) = folder.glob("lightning_logs/*/version_*")
    return run


def last_step(folder):
    """Return the step of the only run's last checkpoint."""
    return load_checkpoint(the_run(folder) / "checkpoints/last.ckpt")["global_step"]


def left_behind(folder):
    """Return all that the only run left: both checkpoints, None where there is none, and the curves in TensorBoard."""
    run = the_run(folder)
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    curves = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}
    files = {name: run / f"checkpoints/{name}.ckpt" for name in ("last", "best")}
    return {name: load_checkpoint(file) if file.exists() else None for name, file in files.items()} | {"curves": curves}


def differences(one, other, key=""):
    """Yield where two nested values differ, to the bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        is_same_kind = one.dtype == other.dtype and one.shape == other.shape
        if not is_same_kind or not torch.equal(*(each.reshape(-1).view(torch.uint8) for each in (one, other))):
            yield key
    elif isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            if name in one and name in other:
                yield from differences(one[name], other[name], f"{key}.{name}")
            else:
                yield f"{key}.{name}"
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{key}.{number}")
    elif one != other:
        yield f"{key}: {one!r} {other!r}"


def parts_left(folder):
    """Return what a half-written file would be called."""
    return [path for path in folder.rglob("*") if path.suffix in (".part", ".tmp")]
