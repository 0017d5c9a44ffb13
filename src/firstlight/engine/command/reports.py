"""The report of a test: ``report.md`` in the run's folder, and a picture beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from firstlight.engine.files import write_atomically
from firstlight.engine.runs.folders import Run

TITLES = {"mae": "MAE", "rmse": "RMSE", "r2": "R2", "f1": "F1"}
"""Names whose letters are initials."""


def report_text(found: Mapping[str, Any] | None) -> str:
    """Return tables in Markdown: of single scores, and of the classes, if there are any."""
    if not found:
        return "no report: the model's outputs or targets are neither classes nor numbers"
    scores = [{"score": name, "value": value} for name, value in found.items() if not isinstance(value, list)]
    return "\n\n".join(map(_table, filter(None, [scores, found.get("classes")])))


def write_report(run: Run, stage: str, head: str, found: Mapping[str, Any]) -> None:
    """Write the report of ``test``, or that of ``validate`` under names that begin with it; the head comes first."""
    prefix = "" if stage == "test" else f"{stage}-"
    picture = ""
    if bins := found.get("reliability"):
        from firstlight.plots.calibration import reliability  # noqa: PLC0415  # matplotlib is slow to import
        from firstlight.plots.style import to_bytes  # noqa: PLC0415

        title = f"expected calibration error {found['expected_calibration_error']:.3g}"
        x, y, counts = ([row[key] for row in bins] for key in ("confidence", "accuracy", "examples"))
        name = f"{prefix}reliability.png"
        write_atomically(run.folder / name, to_bytes(reliability(x, y, counts, title), "png"))
        picture = f"\n![Accuracy over confidence]({name})\n"
    text = f"# {stage} of {run.name}\n\n{head}\n\n{report_text(found)}\n{picture}"
    write_atomically(run.folder / f"{prefix}report.md", text.encode())


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = [TITLES.get(key, key) for key in rows[0]]
    cells = [[_text(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    lines = [titles, ["-" * width for width in widths], *cells]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def _text(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(TITLES.get(value, value))
    return text.replace("_", " ").replace("|", "\\|")
