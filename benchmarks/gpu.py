"""Measure and check runs on one GPU, and print a table: ``make gpu``, under four minutes on an H100.

    python -m benchmarks.gpu [--rounds 3] [--only mlp waits]

The runs are those of the real command line with everything on (TensorBoard, checkpoints, training and validation
scores), on random images of the number and shape of Fashion-MNIST's: speed does not depend on what they show, and
nothing has to be downloaded. Times are medians over the epochs after the first, ratios medians over alternated rounds.
Without a GPU the script says so, and its exit status is 1.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from docs.tables import markdown
from torch import nn

from benchmarks import raw
from benchmarks.data import RandomImages
from benchmarks.gpu_graph import eager, graphed, seconds
from benchmarks.processes import ENVIRONMENT
from firstlight.engine.command import stages

BATCHES = (256, 8192)
EPOCHS = 4
WIDTHS = [784, 256, 10]
SIZES = (
    ("MLP", 256, ()),
    ("MLP", 8192, ()),
    ("784-4096-4096-10", 8192, ("--model.hidden_dims=[4096,4096]", "--model.init_std=null", "--model.lr=0.1")),
)
"""Model, batch size, and the words that set the model."""
IN_A_GRAPH = (1, 10)
PLAIN = "a plain run"


CHANGES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    PLAIN: ((), {}),
    "`presets/bf16`": (("--config=presets/bf16",), {}),
    "`torch.compile`": ((), {"Compile": {}}),
    "`updates_per_batch: 1`": (("--updates_per_batch=1",), {}),
    "`device_resident: false`": (("--data.device_resident=false",), {}),
}
"""Changes of a plain run, by name: further words of its command line, and callbacks."""
Pairs = Sequence[Sequence[dict[str, Any]]]
"""What was measured of both sides, in each round."""


class Row(NamedTuple):
    """A row of the table."""

    what: str
    to: str
    found: str
    goal: str = ""


def device() -> str:
    """Return the device that everything runs on."""
    return "cuda"


def words(batch: int, *more: str, epochs: int = EPOCHS) -> list[str]:
    """Return the words of a command line that trains the MLP."""
    data = ["--data=benchmarks.data.RandomImages", f"--data.batch_size={batch}"]
    return ["--config=mlp", "--config=presets/gpu", "--pictures=none", *data, f"--trainer.max_epochs={epochs}", *more]


def callbacks(**arguments: dict[str, Any]) -> str:
    """Return the word that sets callbacks of ``benchmarks.gpu_callbacks``, by class, with their arguments."""
    chosen = [{"class_path": f"benchmarks.gpu_callbacks.{name}", "init_args": args} for name, args in arguments.items()]
    return f"--trainer.callbacks={json.dumps(chosen)}"


def ours(batch: int, *more: str, waits: bool = False, **others: dict[str, Any]) -> dict[str, Any]:
    """Train the MLP in this process, and return what ``GPUClock`` wrote, with medians of the seconds."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        stages.fit([*words(batch, *more), callbacks(GPUClock={"path": "clock.json", "waits": waits}, **others)])
        times: dict[str, Any] = json.loads(Path("clock.json").read_text())
    return times | {part: statistics.median(times[part][1:]) for part in ("steps", "epochs")}


def by_hand(batch: int) -> dict[str, Any]:
    """Return the same of the raw loop."""
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    laps = raw.classifier(RandomImages(), WIDTHS, 0.5, batch, EPOCHS, device())[1:]
    steps, epochs = (statistics.median(seconds) for seconds in zip(*laps, strict=True))
    return {"steps": steps, "epochs": epochs, "memory": torch.cuda.max_memory_allocated()}


def ratio(part: str, pairs: Pairs) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(float(after[part] / before[part]) for before, after in pairs)


def mlp(rounds: int) -> Iterator[Row]:
    """Compare runs with the raw loop."""
    for batch in BATCHES:
        pairs = [(by_hand(batch), ours(batch)) for _ in range(rounds)]
        for part, name in {"epochs": "an epoch", "steps": "its training steps"}.items():
            loop, run = (
                f"{1000 * statistics.median(each[part] for each in side):.1f} ms" for side in zip(*pairs, strict=True)
            )
            yield Row(
                f"MLP, batch {batch:,}: {name}",
                f"an eager raw loop, {loop}",
                f"{run}, ratio {ratio(part, pairs):.2f}",
                "1.30",
            )
        loop, run = (f"{side['memory'] / 2**20:.0f} MiB" for side in pairs[-1])
        yield Row(f"MLP, batch {batch:,}: peak memory", f"the raw loop, {loop}", run)


def variants(rounds: int) -> Iterator[Row]:
    """Compare runs with settings that should make them faster, or slower, with a plain run."""
    for model, batch, more in SIZES:
        found = [
            {name: ours(batch, *more, *flags, **others) for name, (flags, others) in CHANGES.items()}
            for _ in range(rounds)
        ]
        for name in list(CHANGES)[1:]:
            pairs = [(each[PLAIN], each[name]) for each in found]
            text = f"ratio {ratio('epochs', pairs):.2f}, of the steps {ratio('steps', pairs):.2f}"
            yield Row(f"{name}, {model}, batch {batch:,}: an epoch", PLAIN, text)


def waits() -> Iterator[Row]:
    """Count the operations of an epoch that make the host wait for the GPU, and say where they are."""
    found = ours(256, waits=True)["waits"]
    for part, name, goal in (("steps", "training steps", "0"), ("rest", "validation, scores, checkpoints", "")):
        yield Row(f"operations of an epoch that wait for the GPU: {name}", "", f"{len(found[part])}", goal)
        for place, count in Counter(found[part]).most_common():
            print(f"  {count:3} x {'/'.join(Path(place).parts[-3:])}")


def resume() -> Iterator[Row]:
    """Kill a deterministic run in mid-epoch, resume it, and compare it with an unbroken one."""
    flags = words(256, "--config=presets/deterministic", "--checkpoint.every_n_steps=100", epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for name, more in {"whole": [], "broken": [callbacks(KillAfter={"steps": 350})]}.items():
            runs[name] = _start(Path(folder, name), "fit", *flags, *more)
        ended = {name: process.wait() for name, process in runs.items()}
        resumed = _start(Path(folder, "broken"), "fit", "--resume").wait()
        saved = [_last(Path(folder, name)) for name in runs]
    assert ended == {"whole": 0, "broken": -9}, ended  # noqa: S101
    assert resumed == 0, resumed  # noqa: S101
    steps = [checkpoint["global_step"] for checkpoint in saved]
    weights = [checkpoint["state_dict"] for checkpoint in saved]
    is_same = steps[0] == steps[1] and all(map(torch.equal, *(each.values() for each in weights)))
    what = "killed at step 350, resumed from 300, `presets/deterministic`: weights"
    yield Row(
        what, f"an unbroken run's, step {steps[0]}", "the same bits" if is_same else "other bits", "the same bits"
    )


def graph(rounds: int) -> Iterator[Row]:
    """Compare updates of the raw loop in a CUDA graph with eager ones."""
    data = RandomImages()
    data.setup("fit")
    x, y = data.train[0].flatten(1).to(device()), data.train[1].to(device())
    for batch, updates in ((batch, updates) for batch in BATCHES for updates in IN_A_GRAPH):
        count = len(x) // batch // updates * updates
        order = torch.randperm(len(x), device=device())[: count * batch].view(-1, updates, batch)
        if not len(order):
            continue
        sides = []
        for is_graphed in (False, True):
            torch.manual_seed(0)
            net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)).to(device())
            sides.append((net, graphed(net, x, y, order[0]) if is_graphed else eager(net, x, y)))
        pairs = [[{"epochs": seconds(take, order)} for _, take in sides] for _ in range(2 * rounds + 1)][1:]
        is_same = all(map(torch.equal, *(net.parameters() for net, _ in sides)))
        found = f"ratio {ratio('epochs', pairs):.2f}, {'the same' if is_same else 'other'} bits"
        yield Row(
            f"CUDA graph of {updates} update{'s' * (updates > 1)}, MLP, batch {batch:,}",
            "the raw loop's, eager",
            found,
            "0.40",
        )


def _start(folder: Path, *args: str) -> "subprocess.Popen[str]":
    """Start the command line in a folder, and leave its output there."""
    folder.mkdir(exist_ok=True)
    with Path(folder, "output.txt").open("a") as output:
        command = [sys.executable, "-m", "firstlight", *args]
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | ENVIRONMENT, stdout=output, stderr=output, text=True
        )


def _last(folder: Path) -> dict[str, Any]:
    found = list(folder.glob("lightning_logs/*/*/checkpoints/last.ckpt"))
    if len(found) != 1:
        sys.exit(Path(folder, "output.txt").read_text())
    checkpoint: dict[str, Any] = torch.load(found[0], weights_only=True, map_location="cpu")
    return checkpoint


MEASUREMENTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "mlp": mlp,
    "variants": variants,
    "graph": graph,
    "waits": lambda _: waits(),
    "resume": lambda _: resume(),
}
"""What is measured, by a short name, given the number of rounds."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no GPU here: torch.cuda.is_available() is False")
    os.environ |= ENVIRONMENT
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {sys.version.split()[0]}", flush=True)
    rows = []
    for name in options.only:
        start = time.perf_counter()
        rows += list(MEASUREMENTS[name](options.rounds))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print("\n" + markdown([["what", "compared with", "found", "goal"], *map(list, rows)]))


if __name__ == "__main__":
    main()
