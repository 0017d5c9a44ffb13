"""The tables of ``docs/scale.md``: the time of a step, its communication, and the speed-up expected of more GPUs.

    python -m benchmarks.scale

Times are medians of three runs with one torch thread per process. Bytes are read off the loopback interface (Linux), as
the difference of a long and a short run of two processes. Speed-ups of GPUs are estimates from these measurements and
the assumptions below.
"""

import statistics
from pathlib import Path
from typing import Any

import firstlight
from benchmarks.processes import python, run

MODELS = ("SoftmaxRegression", "MLP", "NeuralNetwork")
GPUS = (2, 4, 8, 16, 32, 64)
# assumptions about GPUs: operations per second that layers of this size reach; and, by the largest number of GPUs,
# the bandwidth of the links between them in bytes per second and the seconds of the smallest all-reduce
OPERATIONS = 10e12
LINKS = {8: (200e9, 30e-6), 64: (12e9, 60e-6)}


def loopback() -> int:
    """Return the bytes received over the loopback interface so far."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def step(model: str, batch: int, steps: int, *flags: str) -> float:
    """Return the seconds per step in the second epoch of a run without validation."""
    images = f"--data.num_images={round(steps * batch / 0.9)}"
    data = ("--data=benchmarks.data.RandomImages", images, f"--data.batch_size={batch}")
    times = run("fit", f"--model={model}", *data, "--trainer.max_epochs=2", "--trainer.limit_val_batches=0", *flags)
    return float(times["epochs"][1]) / steps


def bytes_a_step(model: str) -> float:
    """Return what each of two processes sends in a step."""
    counts = []
    for steps in (20, 220):
        before = loopback()
        step(model, 256, steps, "--config=presets/ddp")
        counts.append(loopback() - before)
    return (counts[1] - counts[0]) / (2 * 200) / 2  # two epochs, two processes


def expected(floor: float, batch: int, num_parameters: int, gpus: int) -> float:
    """Return the expected speed-up over one GPU, for a batch shared by all."""
    seconds = 6 * num_parameters * batch / OPERATIONS  # forward, and twice as much backward
    bandwidth, latency = next(link for most, link in LINKS.items() if gpus <= most)
    exchange = latency + 2 * (gpus - 1) / gpus * 4 * num_parameters / bandwidth
    return (floor + seconds) / (floor + seconds / gpus + exchange)


def main() -> None:
    """Measure, and print the page's tables."""
    rows: list[dict[str, Any]] = []
    head = ("model", "parameters", "step of 2", "step of 256", "by two", "all-reduce", "sent a step")
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for model in MODELS:
        count = sum(parameter.numel() for parameter in getattr(firstlight, model)().parameters())
        floor = statistics.median(step(model, 2, 300) for _ in range(3))
        alone = statistics.median(step(model, 256, 100) for _ in range(3))
        two = statistics.median(step(model, 256, 100, "--config=presets/ddp") for _ in range(3))
        exchange = float(python("-m", "benchmarks.all_reduce", str(count)))
        sent = bytes_a_step(model)
        times = " | ".join(f"{1000 * seconds:.2f} ms" for seconds in (floor, alone, two, exchange))
        print(f"| {model} | {count:,} | {times} | {sent / 1e6:.2f} MB |", flush=True)
        rows.append({"model": model, "count": count, "floor": floor})
    print(f"\n| model, batch | {' | '.join(f'{gpus} GPUs' for gpus in GPUS)} |\n|" + " --- |" * (len(GPUS) + 1))
    for row in rows:
        for batch in (256, 8192, 65536):
            ratios = (f"{expected(row['floor'], batch, row['count'], gpus):.2f}" for gpus in GPUS)
            print(f"| {row['model']}, {batch:,} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
