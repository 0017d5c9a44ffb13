"""Evaluate a trained model: score a split, or predict for it or for files."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import Report, write_test_score
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.command import Command
from firstlight.engine.files import write_atomically
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import Run, relative_to_cwd
from firstlight.engine.runs.inputs import PART, read_inputs, serve_inputs
from firstlight.engine.runs.loading import load_run_checkpoint
from firstlight.engine.texts import printable, strict_json


def inputs_of(command: Command) -> dict[str, Any]:
    """Return what all stages of a Trainer take."""
    path = command.request.checkpoint
    return {"model": command.model, "datamodule": command.data, "ckpt_path": str(path) if path else None}


def evaluate(command: Command) -> dict[str, Any]:
    """Score the validation or the test data, write the scores into the run's folder, and return them."""
    stage, trainer = command.request.stage, command.trainer
    report = Report()
    internals.typed(trainer).callbacks.append(report)
    score = trainer.validate if stage == "validate" else trainer.test
    # one dict for each of several loaders, whose names say which it is of
    scores = dict(pair for found in score(verbose=False, **inputs_of(command)) for pair in found.items())
    path = command.request.checkpoint
    epoch = None if command.start_epoch is None else command.start_epoch + 1
    content: dict[str, Any] = {"checkpoint": str(path) if path else None, "epoch": epoch, **scores}
    content |= {"report": report.found} if report.found else {}
    if not trainer.is_global_zero:
        return content
    line = "  ".join(f"{name} {value:.5g}" for name, value in sorted(scores.items()))
    print(line)
    if "report" in command.request.switches:
        print(f"\n{report_text(report.found)}")
    if command.run:
        write_atomically(command.run.folder / f"{stage}.json", f"{strict_json(content)}\n".encode())
        if report.found:
            write_report(command.run, stage, line, report.found)
        tested = receipts.test_score(command.run, command.run.read_receipt())
        if stage == "test" and tested is not None:
            write_test_score(command.run.folder, tested, command.start_step or 0)
    return content


def predict_with(command: Command) -> dict[str, Any]:
    """Write predictions for the test split, or for files; return where, how many, and why files were skipped."""
    trainer, writer, is_first = command.trainer, command.predictions, command.trainer.is_global_zero
    inputs, skipped = inputs_of(command), list[str]()
    if command.request.files:
        skipped = _predict_files(command, inputs)
    else:
        trainer.predict(return_predictions=False, **inputs)
    writer.write(trainer)
    what = " of the test split" * (not command.request.files and isinstance(command.data, DataModule))
    if writer.path and is_first:
        print(f"predictions: {relative_to_cwd(writer.path)} ({writer.num_rows:,} examples{what})")
    path = str(writer.path.absolute()) if writer.path else None
    return {"predictions": path, "examples": writer.num_rows, "skipped": skipped}


def _predict_files(command: Command, inputs: dict[str, Any]) -> list[str]:
    """Predict for the examples in files, a part of them in memory at a time, and say what was done to them."""
    request, data, trainer, writer = command.request, command.data, command.trainer, command.predictions
    saved = load_run_checkpoint(request.checkpoint) if request.checkpoint else {}
    if data and (state := saved.get(type(data).__qualname__)):
        data.load_state_dict(state)
    # several processes share each batch, so a part must not be smaller than their number
    for found in read_inputs(data, request.files, PART if trainer.world_size == 1 else math.inf):
        serve_inputs(data, found.x)
        writer.places.extend(found.places)
        trainer.predict(return_predictions=False, **inputs)
        inputs["ckpt_path"] = None  # the model has the weights now
    if trainer.is_global_zero:
        for reason in found.skipped:
            print(f"skipped: {printable(reason)}", file=sys.stderr)
        changes = "".join(f"; {count:,} {change}" for change, count in found.changes.items())
        print(f"files: {len(writer.places):,} examples{changes}")
    return found.skipped


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
        from firstlight.plots.predictions import reliability  # noqa: PLC0415  # matplotlib is slow to import
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
