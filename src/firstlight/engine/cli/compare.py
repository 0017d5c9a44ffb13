"""``firstlight runs diff A B``: in what two runs differ, and whether one predicts better by more than chance."""

from typing import Any

from firstlight.engine.cli.table import print_table
from firstlight.engine.command.settings import flatten
from firstlight.engine.runs.conditions import named_conditions
from firstlight.engine.runs.folders import Run
from firstlight.engine.runs.paired import Paired, compare_predictions
from firstlight.errors import UsageError

ROUNDING = 1e-5
"""Share of the squared error below which a difference comes from rounding of single precision."""


def print_difference(first: Run, second: Run) -> dict[str, Any]:
    """Print and return in which settings, scores and conditions two runs differ; compare their predictions."""
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    rows = [dict(zip(("key", *names), found, strict=True)) for found in _different(first, second)]
    paired = None
    try:
        paired = compare_predictions(first, second)
        lines = _sentences(paired, names)
    except UsageError as error:
        lines = [f"test scores are not compared: {error}"]
    if rows:
        print_table(rows)
    else:
        print("the same settings and the same scores")
    if first.folder.absolute() != second.folder.absolute():
        print("", *lines, sep="\n")
    return {"different": rows, "predictions": paired and paired.as_dict(), "text": lines}


def _different(first: Run, second: Run) -> list[tuple[str, Any, Any]]:
    was, now = (dict(flatten(_contents(run))) for run in (first, second))
    then, since = (named_conditions(run.read_receipt()) for run in (first, second))
    pairs = [(key, was.get(key), now.get(key)) for key in sorted({*was, *now})]
    pairs += [(key, then[key], since.get(key, then[key])) for key in then]
    return [found for found in pairs if found[1] != found[2]]


def _contents(run: Run) -> dict[str, Any]:
    receipt = run.read_receipt()
    best = receipt.get("best", {})
    if "mode" not in best and isinstance(best.get("epoch"), int):  # an old receipt, which counts from 0
        best = {**best, "epoch": best["epoch"] + 1}
    # the epoch that was tested is an integer, and no score
    tested = {name: score for name, score in run.read_scores("test").items() if isinstance(score, float)}
    results = {"scores": {**receipt.get("scores", {}), **tested}, "best": best, "steps": receipt.get("step")}
    return run.read_config() | results


def _sentences(paired: Paired, names: tuple[str, str]) -> list[str]:
    """Return what a comparison says, in plain words."""
    is_accuracy, (gain, low, high) = paired.score == "accuracy", paired.difference
    is_second = (gain > 0) == is_accuracy or gain == 0  # it is the better one
    better = names[1] if is_second else names[0]
    if is_second != is_accuracy:
        gain, low, high = -gain, -high, -low
    scores = [
        f"{name} {score.value:.4g} (95 %: {score.low:.4g} to {score.high:.4g})"
        for name, score in zip(names, (paired.first, paired.second), strict=True)
    ]
    if is_accuracy:
        what = f"is right on {100 * gain:.2f} points more of {paired.examples:,} examples"
        interval = f"{100 * low:.2f} to {100 * high:.2f}"
    else:
        what, interval = f"has an error lower by {gain:.3g} on {paired.examples:,} examples", f"{low:.3g} to {high:.3g}"
    if not is_accuracy and abs(gain) <= ROUNDING * paired.first.value:
        return [f"test {paired.score}: {', '.join(scores)}", "the errors are the same but for rounding"]
    p = f"p = {paired.p:.2g}" if paired.p >= 0.0001 else "p < 0.0001"
    verdict = "by chance alone such a difference is rare" if paired.p < 0.05 else "that may be chance"
    return [f"test {paired.score}: {', '.join(scores)}", f"{better} {what} (95 %: {interval}); {verdict} ({p})"]
