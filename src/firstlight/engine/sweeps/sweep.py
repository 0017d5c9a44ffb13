"""Take part in a sweep as one of its workers, from the sweep file to the results."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from firstlight.engine.command.settings import Setting
from firstlight.engine.runs.folders import LOGS, relative_to_cwd
from firstlight.engine.sweeps import children, results
from firstlight.engine.sweeps.plan import Plan, to_flags, trial_count
from firstlight.engine.sweeps.storage import open_storage
from firstlight.engine.sweeps.study import Study
from firstlight.engine.sweeps.worker import Worker
from firstlight.errors import FirstlightError, UsageError


class Outcome(NamedTuple):
    """How a worker's part in a sweep ended."""

    rows: list[dict[str, Any]]
    """A row for each trial that has ended, the best first."""
    files: dict[str, Path]
    """The files with results by name: ``table``, ``best``, ``trials`` and ``importances``."""
    unfinished: int
    """Trials that have not ended."""
    stopped_by: int
    """The signal that stopped the worker, or 0."""


def _look(plan: Plan, flags: list[str]) -> dict[str, Any]:
    """Return what a sweep has to know, from the first of its values with which a batch can be trained."""
    failures: dict[str, FirstlightError] = {}
    for settings in _candidates(plan):
        words = to_flags({setting.key: setting.value for setting in settings})
        if (typed := " ".join(words)) in failures:
            continue
        try:
            return dict(children.call("look", [*flags, *words], settings))
        except FirstlightError as error:
            is_same = any(str(error) == str(other) for other in failures.values())  # whatever the values are
            if isinstance(error, UsageError) and (is_same or _is_of_file(error, plan, settings)):
                raise
            failures[typed] = error
    typed, failure = next(iter(failures.items()))
    raise type(failure)(f"no trial could be trained: {typed}: {failure}")


def _is_of_file(error: UsageError, plan: Plan, settings: list[Setting]) -> bool:
    """Return whether an error is about a key or a range in the sweep file, not about one of several choices."""
    found = [each for each in settings if each.place and each.place in str(error)]
    chosen = [each for each in found if isinstance(plan.search.get(each.key), CategoricalDistribution)]
    return any(each not in chosen or each.value not in str(error) for each in found)


def _candidates(plan: Plan) -> Iterator[list[Setting]]:
    """Yield settings of as many trials as are asked for: the first and last values of all keys, then others."""
    yield from plan.ends if plan.search else plan.ends[:1]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=plan.seed))
    for values in plan.grid or (study.ask(plan.search).params for _ in range(plan.trials - 2)):
        yield [replace(each, value=values.get(each.key, each.value)) for each in plan.settings]


def run_sweep(plan: Plan, flags: list[str], name: str, root: Path, storage: str | None = None) -> Outcome:
    """Run trials of a sweep until all have ended, and write the results.

    Raises:
        UsageError: If the config cannot be trained, or the sweep was started with another search.
        FirstlightError: If the storage cannot be reached.
    """
    children.warm_up()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    facts = _look(plan, flags)
    # a trial that is started again reports the same scores again
    warnings.filterwarnings("ignore", "The reported value is ignored because this", UserWarning)
    shared = open_storage(storage or str(root / LOGS / name / "sweep.journal"))
    try:
        before = [] if storage else optuna.get_all_study_names(shared.optuna_storage)
        if before and name not in before:  # its trials name their runs by the old name
            folder = relative_to_cwd(root / LOGS / name)
            raise UsageError(
                f"{folder} holds the sweep {before[0]}: name the folder {before[0]} again, or choose a new --name"
            )
        study = Study(shared, name, plan, facts)
        runs = f" of {len(plan.repeats)} runs each" if len(plan.repeats) > 1 else ""
        combinations = " (all combinations)" if study.planned < plan.trials else ""
        print(f"{name}: {trial_count(study.planned)}{runs}{combinations}, scored by {study.monitor}", flush=True)
        worker = Worker(study, [*flags, "--name", name], root, name)
        worker.work()
        with shared.exclusive():  # several workers may write the results at the same time
            rows = results.rows(study)
            files = results.write(study, name, root) if rows else {}
        return Outcome(rows, files, study.unfinished(), worker.stopped_by)
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        message = f"--storage failed: {reason}\nfinished trials are kept; run the same command again to continue"
        raise FirstlightError(message) from error
    finally:
        shared.release_lock()
