"""Whether one run's predictions are better than another's by more than chance, compared example by example."""

import csv
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firstlight.engine.program import program
from firstlight.engine.runs.folders import Run
from firstlight.errors import UsageError

Z = 1.959964
"""The 97.5 % quantile of the normal distribution: within that many standard errors lie 95 %."""
RESAMPLES = 2000
Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A number with the interval that holds the true one in 95 % of cases."""

    value: float
    low: float
    high: float


class Paired(NamedTuple):
    """The scores of two runs on the same examples."""

    score: str
    examples: int
    first: Interval
    second: Interval
    difference: Interval
    """Second less first."""
    p: float
    """How often runs that are equally good differ as much, or more."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain mappings."""
        return {
            name: value._asdict() if isinstance(value, Interval) else value for name, value in self._asdict().items()
        }


def compare_predictions(first: Run, second: Run) -> Paired:
    """Compare the ``predictions.csv`` of two runs, or raise a ``UsageError`` that says why not, and what to type."""
    (rows, data), (other_rows, other_data) = _read(first), _read(second)
    pairs = [(row, other_rows[key]) for key, row in rows.items() if key in other_rows]
    is_same = data is None or other_data in (data, None)
    if not is_same or any(_truth(a) != _truth(b) for a, b in pairs):
        raise UsageError("the predictions are for different data")
    if len(pairs) < 2:
        raise UsageError("fewer than two examples are in the predictions of both")
    ours, theirs = zip(*pairs, strict=True)
    if all({"truth", "class"} <= row.keys() for row in pairs[0]):
        right = [np.array([row["truth"] == row["class"] for row in each]) for each in (ours, theirs)]
        return compare_right(right[0], right[1])
    try:
        errors = [np.array([_error(row) for row in each]) for each in (ours, theirs)]
    except (TypeError, ValueError, ZeroDivisionError):  # no number, or not a prediction for each
        raise UsageError("predictions.csv needs the columns truth and class, or y and prediction") from None
    if not np.isfinite(errors).all():
        raise UsageError("predictions are NaN or infinite")
    return compare_errors(errors[0], errors[1])


def compare_right(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare which examples two runs are right on, both of shape ``(examples,)``, with McNemar's exact test.

    The intervals are Wilson's for the accuracies, and for their difference that of Bonett and Price (2012),
    https://doi.org/10.3102/1076998611411915.
    """
    n = len(first)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    p_lost, p_won = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    middle, width = p_won - p_lost, Z * math.sqrt((p_won + p_lost - (p_won - p_lost) ** 2) / (n + 2))
    difference = Interval((won - lost) / n, middle - width, middle + width)
    return Paired("accuracy", n, _wilson(first), _wilson(second), difference, mcnemar(lost, won))


def compare_errors(first: Floats, second: Floats, resamples: int = RESAMPLES) -> Paired:
    """Compare the squared errors of two runs, both of shape ``(examples,)``, with a paired bootstrap.

    Differences are studentized (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12).
    """
    random, differences = np.random.default_rng(0), second - first
    n = len(differences)
    mean, error = _mean_and_error(differences)
    ratios: list[float] = []
    while len(ratios) < resamples:
        rows = min(max(1_000_000 // n, 1), resamples - len(ratios))
        means, errors = _mean_and_error(differences[random.integers(n, size=(rows, n))])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios += (np.abs(means - mean) / errors).tolist()
    found = np.nan_to_num(np.array(ratios), nan=0.0, posinf=np.inf)  # 0 / 0: a sample of one difference
    width = float(np.quantile(found, 0.95, method="higher")) * error if error else 0.0
    extreme = int((found * error >= abs(mean)).sum()) if mean else resamples
    around = [Interval(m, m - Z * e, m + Z * e) for m, e in map(_mean_and_error, (first, second))]
    difference = Interval(mean, mean - width, mean + width)
    return Paired("mean squared error", n, around[0], around[1], difference, (1 + extreme) / (1 + resamples))


def mcnemar(lost: int, won: int) -> float:
    """Return the p-value of McNemar's exact test: that of as many heads, or fewer, among fair coins, doubled.

    Args:
        lost: Examples that only the first run is right on.
        won: Examples that only the second run is right on.
    """
    n, k = lost + won, np.arange(1, min(lost, won) + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))]) - n * math.log(2)  # of binomial probabilities
    return min(1.0, 2 * float(np.exp(logs).sum()))


def _wilson(right: NDArray[np.bool_]) -> Interval:
    n, share = len(right), float(right.mean())
    middle, scale = share + Z**2 / (2 * n), 1 + Z**2 / n
    width = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Interval(share, (middle - width) / scale, (middle + width) / scale)


def _mean_and_error(values: Floats) -> Any:
    return values.mean(axis=-1), values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])


def _read(run: Run) -> tuple[dict[tuple[str, str], dict[str, str]], object]:
    """Return the rows of a run's predictions, by data loader and index, and the fingerprint of their data if known."""
    path, how = run.folder / "predictions.csv", f"{program()} predict {run.as_flag('--run')}"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise UsageError(f"{run} has no predictions.csv; to write it: {how}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is damaged ({error}); to write it again: {how}") from error
    if rows and "file" in rows[0]:
        raise UsageError(f"{path} is of files, not of the test split; to write it again: {how}")
    is_outdated, data = False, None
    for entry in run.read_receipt().get("history", []):
        words = entry.get("command") if isinstance(entry, dict) else None
        words = words if isinstance(words, list) else []
        stage = words[1:2]
        if stage == ["predict"] and not any(str(word).startswith("--output") for word in words):
            is_outdated, data = False, entry.get("data")
        elif stage == ["fit"]:
            is_outdated = True
    if is_outdated:
        raise UsageError(f"{path} is older than the last training; to write it again: {how}")
    return {(row.pop("dataloader", ""), row.pop("index", str(place))): row for place, row in enumerate(rows)}, data


def _truth(row: Mapping[str, str]) -> list[str]:
    return [value for name, value in row.items() if re.fullmatch(r"truth|y\d*", name)]


def _error(row: Mapping[str, str]) -> float:
    predicted = [float(value) for name, value in row.items() if re.fullmatch(r"prediction\d*", name)]
    errors = [(a - float(b)) ** 2 for a, b in zip(predicted, _truth(row), strict=True)]
    return sum(errors) / len(errors)
