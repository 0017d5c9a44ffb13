"""How time and memory grow with images, hidden units, batch size, points of the sine and epochs.

    python -m benchmarks.growth [--only images width batch points length]

Each line is one run of the real command line with everything on, in its own process with one torch thread. ``time`` is
that of an epoch, the faster of the last two; ``per unit`` is the time per unit relative to the line above: 1.00 is
linear growth. ``peak`` is the peak memory of the process, ``of need`` its ratio to the sum of the data, the model with
gradients, and a minimal run. When all are measured, the worst ratios go into docs/speed.md.
"""

import argparse
import json
from typing import Any

from docs.tables import fill, markdown

from benchmarks.processes import REPOSITORY, RESULTS, run

AT_MOST = 1.2
"""The goal for each ratio."""

IMAGES = ("--model=MLP", "--data=benchmarks.data.RandomImages", "--updates_per_batch=20")
CURVE = ("--model=AutogradCubic", "--model.lr=1e-12", "--data=Sine", "--data.batch_size=2000", "--updates_per_batch=20")

# what grows, its values, whether the time of an epoch should grow linearly with it, and the flags that set it
GROWTH: dict[str, tuple[str, list[int], bool, Any]] = {
    "images": (
        "images",
        [10_000, 60_000, 200_000, 600_000],
        True,
        lambda n: (*IMAGES, f"--data.num_images={n}"),
    ),
    "width": (
        "hidden units",
        [64, 256, 1024, 4096],
        True,
        lambda n: (*IMAGES, "--data.num_images=10000", f"--model.hidden_dims=[{n}]"),
    ),
    "batch": (
        "images a batch",
        [16, 256, 4096, 16384],
        False,
        lambda n: (*IMAGES, "--data.num_images=60000", f"--data.batch_size={n}"),
    ),
    "points": (
        "points of the sine",
        [20_000, 200_000, 2_000_000, 20_000_000],
        True,
        lambda n: (*CURVE, f"--data.num_points={n}"),
    ),
    "length": (
        "epochs",
        [3, 10, 100],
        False,
        lambda n: (*IMAGES, "--data.num_images=10000", f"--trainer.max_epochs={n}"),
    ),
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the page on speed: the worst ratios of each kind of growth."""
    lines = [["what grows", "from", "to", "time per unit, to the line before", "peak memory, to the need"]]
    for name, (what, values, is_linear, _) in GROWTH.items():
        worst = [max(row[key] for row in rows if row["grows"] == name) for key in ("per_unit", "of_need")]
        cells = [f"{ratio:.2f}{' (goal missed)' * (ratio > AT_MOST)}" for ratio in worst]
        cells[0] += "" if is_linear else " (of an epoch)"
        lines.append([what, *(f"{value:,}" for value in (values[0], values[-1])), *cells])
    return markdown(lines)


def main() -> None:
    """Measure, print a table, and write it as JSON and, in short, into docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=GROWTH, default=list(GROWTH))
    options = parser.parse_args()
    minimal = run("fit", *IMAGES, "--data.num_images=100", "--trainer.max_epochs=1")["peak"]
    print(f"peak memory of a minimal run: {minimal / 1e6:.0f} MB")
    rows = []
    for name in options.only:
        what, values, is_linear, flags = GROWTH[name]
        print(f"\n{what:>20} {'time':>10} {'per unit':>9} {'peak':>9} {'of need':>8}")
        before = None
        for value in values:
            times = run("fit", "--trainer.max_epochs=3", *flags(value))
            seconds, peak = min(times["epochs"][-2:]), times["peak"]
            unit = seconds / value if is_linear else seconds
            ratio, need = unit / (before or unit), peak / (minimal + times["bytes"])
            print(f"{value:20,} {seconds:9.3f}s {ratio:9.2f} {peak / 1e6:6.0f} MB {need:8.2f}", flush=True)
            rows.append({"grows": name, "value": value, "seconds": seconds, "per_unit": ratio, "of_need": need})
            before = unit
    (RESULTS / "growth.json").write_text(json.dumps(rows, indent=2) + "\n")
    if len(options.only) == len(GROWTH):
        page = REPOSITORY / "docs" / "speed.md"
        page.write_text(fill(page.read_text(encoding="utf-8"), "bench (growth)", table(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
