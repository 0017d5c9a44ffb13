"""Take part in a sweep as one of its workers, from the sweep file to the results."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from firstlight.engine.runs.folders import LOGS
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
    failures: list[FirstlightError] = []
    for settings in plan.ends:
        typed = to_flags({setting.key: setting.value for setting in settings})
        try:
            facts: dict[str, Any] = children.call("look", [*flags, *typed], settings)
            return facts
        except UsageError as error:
            if any(setting.place and setting.place in str(error) for setting in settings):
                raise  # a mistake in the sweep file
            failures.append(error)
        except FirstlightError as error:
            failures.append(FirstlightError(f"no batch can be trained with {' '.join(typed)}: {error}"))
    raise failures[0]


def run_sweep(plan: Plan, flags: list[str], name: str, root: Path, storage: str | None = None) -> Outcome:
    """Run trials of a sweep until all have ended, and write the results.

    Raises:
        UsageError: If the config cannot be trained, or the sweep was started with another search.
        FirstlightError: If the storage cannot be reached.
    """
    children.warm_up()
    facts = _look(plan, flags)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # a trial that is started again reports the same scores again
    warnings.filterwarnings("ignore", "The reported value is ignored because this", UserWarning)
    shared = open_storage(storage or str(root / LOGS / name / "sweep.journal"))
    try:
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
