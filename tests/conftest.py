"""What the tests share: the command line, a small Trainer, tiny files in Fashion-MNIST's format, a clean place.

Torch is imported where it is used: the process that starts the workers (pytest -n 2) has none, and they wait for it.
"""

import atexit
import gc
import os
import shutil
import signal
import struct
import sys
import warnings
from collections import namedtuple
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it once, when it is imported
if "FIRSTLIGHT_DATA" in os.environ:  # may be relative, and each test runs in a folder of its own
    os.environ["FIRSTLIGHT_DATA"] = str(Path(os.environ["FIRSTLIGHT_DATA"]).resolve())
if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")  # each run flushes its files to the disk

import pytest
import yaml

import firstlight as package
from firstlight.engine.cli.main import main
from firstlight.engine.processes import STOP_SIGNALS

gc.disable()  # until all is imported, and stays


def pytest_collection_finish():
    """Leave what was imported out of each garbage collection: here, and in the runs that are forks of this process."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # else Triton complains at the end that its objects were never freed
    gc.enable()


@pytest.fixture(autouse=True)
def clean_start(tmp_path, monkeypatch):
    """Seed torch, and run each test in a folder of its own, so that nothing is written into the repository.

    A run with a strategy of several processes leaves a process group, which would make later tests wait for others.
    """
    import torch

    torch.default_generator.manual_seed(0)  # torch.manual_seed keeps a stack for each kind of GPU
    monkeypatch.chdir(tmp_path)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Leave out the pictures that a run draws unless it is told not to: they take a third of a small run's time.

    Tests marked ``pictures`` see them, and so does every process but the tests' own.
    """
    from firstlight.engine import callbacks

    if not request.node.get_closest_marker("pictures"):
        make = callbacks.tensorboard_callbacks
        monkeypatch.setattr(
            callbacks,
            "tensorboard_callbacks",
            lambda seed, pictures, configs: make(seed, "none" if pictures == "few" else pictures, configs),
        )


def draw_little(patch):
    """Have the functions of ``plots`` draw next to nothing, which takes no time, until ``patch`` is undone."""
    from matplotlib.figure import Figure

    from firstlight import plots

    for name in plots.__all__:
        patch.setattr(plots, name, lambda *_: Figure(figsize=(0.1, 0.1)))


def write_fashion_mnist(root: Path) -> None:
    """Write 60 training and 20 test images below ``root`` in Fashion-MNIST's own file format.

    Labels go 0, 1, ... 9, 0, ... Each image is dark noise with a bright band at a height that tells its label.
    """
    import torch

    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    random = torch.Generator().manual_seed(0)
    for part, count in (("train", 60), ("t10k", 20)):
        labels = torch.arange(count, dtype=torch.uint8) % 10
        images = torch.randint(100, (count, 28, 28), dtype=torch.uint8, generator=random)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[2 * label + 4 : 2 * label + 6] += 150
        header = struct.pack(">4I", 0x0803, count, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.numpy().tobytes())
        header = struct.pack(">2I", 0x0801, count)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.numpy().tobytes())


@pytest.fixture
def fashion_root(tmp_path):
    """Return a folder with tiny Fashion-MNIST files: no download, no real data."""
    root = tmp_path / "fashion"
    write_fashion_mnist(root)
    return root


CONFIGS = [yaml.safe_load(path.read_text()) for path in sorted(Path(__file__).parents[1].glob("configs/*.yaml"))]
OF_MODELS = {config["model"]["class_path"]: config for config in reversed(CONFIGS)}


@pytest.fixture(params=OF_MODELS)
def pair(request, fashion_root):
    """Return a function that makes each model and its data, as a config has them but for eight batches an epoch.

    The last batch is smaller than the others; ``whole`` keeps a split that the config takes as one batch.
    """
    config = OF_MODELS[request.param]

    def make(*, whole=False):
        model, data = (
            getattr(package, config[part]["class_path"])(**config[part].get("init_args", {}))
            for part in ("model", "data")
        )
        setup = data.setup

        def cut(stage):
            setup(stage)
            for name in {"train", "val", "test"} & vars(data).keys():
                x, y = getattr(data, name)
                every = max(len(x) // 54, 1)
                setattr(data, name, (x[::every][:54], y[::every][:54]))

        data.setup, data.root = cut, str(fashion_root)
        if whole and data.batch_size is None:
            data.repeats = 8
        else:
            data.batch_size, data.repeats = 7, 1
        return model, data

    return make


@pytest.fixture
def quick_trainer():
    """Return a function that makes a Trainer which writes and prints nothing."""
    from lightning.pytorch import Trainer

    def make(**arguments):
        quiet = {
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        return Trainer(**quiet | arguments)

    return make


@pytest.fixture
def real_data():
    """Return the folder of the real Fashion-MNIST; without one the test is skipped."""
    if "FIRSTLIGHT_DATA" not in os.environ:
        pytest.skip("FIRSTLIGHT_DATA names no folder with the real Fashion-MNIST")
    return os.environ["FIRSTLIGHT_DATA"]


Answer = namedtuple("Answer", "status out err")

NO_NEWS = (
    r"GPU available but not used",  # where there is one: these runs are too small for it
)


@pytest.fixture
def firstlight(monkeypatch, capfd):
    """Return a function that types a command and returns its exit status and what it printed."""
    import torch

    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["firstlight", *map(str, words)])
        capfd.readouterr()
        status = 0
        with warnings.catch_warnings():
            for message in NO_NEWS:
                warnings.filterwarnings("ignore", message)
            try:
                main()
            except SystemExit as end:
                status = end.code
        return Answer(status, *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture
def did(firstlight):
    """Return a function that types a command which must succeed, and returns what it printed."""

    def run(*words):
        answer = firstlight(*words)
        assert answer.status in (0, None), answer.err
        return answer.out

    return run


@pytest.fixture
def complaint(firstlight):
    """Return a function that types a command with a mistake in it, and returns its exit status and its message."""

    def run(*words):
        status, _, err = firstlight(*words)
        lines = err.removeprefix("error: ").splitlines()
        assert err.startswith("error: "), err
        assert len(lines) <= 3, err
        return status, "\n".join(lines)

    return run
