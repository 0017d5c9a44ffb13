"""``firstlight sweep``: many runs that differ in what is searched, on any number of machines."""

import contextlib
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firstlight.engine.cli.help import help_asked
from firstlight.engine.cli.verbs import Parser, print_table
from firstlight.engine.command.configs import find_sweep
from firstlight.engine.command.request import Request
from firstlight.engine.packages import require
from firstlight.engine.program import program
from firstlight.engine.runs.folders import LOGS, relative_to_cwd
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import Plan, counted, flags_of
from firstlight.errors import FirstlightError, UsageError

if TYPE_CHECKING:
    from firstlight.engine.sweeps.study import Study

__all__ = ["sweep"]

REFUSED = ("--resume", "--run", "--print_config", "--trainer.fast_dev_run")
"""Flags of ``fit`` that ask for something else than a new run that is kept."""

HELP = """\
usage: firstlight sweep --config NAME --sweep FILE [--trials N] [--storage PLACE] [--KEY VALUE ...]

Train many runs that differ in what is searched, and rank them by their best validation score.

  --sweep mlp               what is searched: a file, or configs/sweeps/mlp.yaml
  --trials 40               how many configurations, if not as many as the file says; raise it to go on
  --storage FILE            where trials are kept, if not in the sweep's folder: a file on a shared disk
  --storage postgresql://user@host/database      or a database
  --name wide               what the sweep is called, if not like its config: mlp_sweep
  --trainer.max_epochs 20   any setting of fit; it holds for all runs

The file:

  trials: 20
  search:
    model.lr: {low: 0.01, high: 1.0, log: true}          numbers; each factor of ten gets as many trials
    data.batch_size: {low: 32, high: 512}                whole numbers, as both ends are
    model.hidden_dims: {choices: [[256], [512, 128]]}    anything
  repeats:                                               the runs of each configuration; its score is their mean
    seed_everything: [0, 1, 2]
  pruner: median                                         end trials that are worse than the median; or none

Each run is an ordinary one, in lightning_logs/NAME. The same command, started again or on several machines, goes on
with what is left.
"""


def sweep(args: list[str]) -> None:
    """Work on a sweep until all its trials are finished, and say what came out.

    Raises:
        UsageError: If something is wrong with the sweep file or the configuration.
        FirstlightError: If Optuna is not installed, or what keeps the trials cannot be reached.
    """
    if help_asked(args):
        print(HELP.replace("firstlight", program()), end="")
        return
    parser = Parser("sweep", "")
    for flag in ("--sweep", "--storage", "--name"):
        parser.add_argument(flag)
    parser.add_argument("--trials", type=int)
    options, flags = parser.parse_known_args(args)
    require("sweep", "optuna", extra="sweep")
    if options.sweep is None:
        raise UsageError("--sweep says what is searched: the name of a file, or of one in configs/sweeps")
    for word in flags:
        if (flag := word.partition("=")[0]) in REFUSED:
            raise UsageError(f"{flag} is not for a sweep, which trains new runs and keeps them")
    request = Request.read("fit", [*flags, *(["--name", options.name] if options.name else [])])
    name = options.name or f"{request.name}_sweep"
    typed = {setting.key for setting in request.settings if not setting.place}
    plan = Plan.read(find_sweep(options.sweep), options.trials, typed)
    children.warm_up()
    with _plain_failures():
        study = _begin(plan, flags, options.storage or str(request.root / LOGS / name / "sweep.journal"), name)
        repeated = f" of {len(plan.repeats)} runs each" if len(plan.repeats) > 1 else ""
        most = ", all that there are" if study.planned < plan.trials else ""
        print(f"{name}: {counted(study.planned)}{repeated}{most}, by {study.monitor}", flush=True)
        from firstlight.engine.sweeps.worker import Worker  # noqa: PLC0415  # it needs Optuna, an extra

        worker = Worker(study, [*flags, "--name", name], request.root, name)
        try:
            worker.work()
            _report(study, name, request.root)
        finally:
            study.keeper.close()
    if worker.stopped:
        left = study.unfinished()
        how = f"; the same command goes on with {counted(left)}" if left else ""
        print(f"stopped by {signal.Signals(worker.stopped).name}{how}", file=sys.stderr)
        sys.exit(128 + worker.stopped)


@contextlib.contextmanager
def _plain_failures() -> Iterator[None]:
    """Say in a line what a database has to complain about."""
    from optuna.exceptions import StorageInternalError  # noqa: PLC0415  # an extra
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        message = f"--storage failed: {reason}\nnothing that was finished is lost; the same command goes on"
        raise FirstlightError(message) from error


def _begin(plan: Plan, flags: list[str], storage: str, name: str) -> "Study":
    """Look at the configuration, and return the sweep's trials."""
    facts = children.call("look", [*flags, *flags_of({s.key: s.value for s in plan.settings})], plan.settings)
    import optuna  # noqa: PLC0415  # an extra

    from firstlight.engine.sweeps.locks import keeper  # noqa: PLC0415
    from firstlight.engine.sweeps.study import Study  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # a trial that was begun twice reports the same scores twice
    warnings.filterwarnings("ignore", "The reported value is ignored because this", UserWarning)
    return Study(keeper(storage), name, plan, facts)


def _report(study: "Study", name: str, root: Path) -> None:
    """Print and write what came out."""
    from firstlight.engine.sweeps import results  # noqa: PLC0415  # it needs Optuna, an extra

    table = results.rows(study)
    if not table:
        return
    alone = all(row["std"] is None for row in table)
    shown = [{key: value for key, value in row.items() if not (alone and key == "std")} for row in table]
    print()
    print_table([row | {"runs": row["runs"].replace(f"{name}/", "")} for row in shown])
    print()
    with study.keeper.alone():  # several workers may come here at once
        files = results.write(study, name, root)
    for what, path in files.items():
        print(f"{what + ':':13}{relative_to_cwd(path)}")
    if "best" in files:
        print(f"{'next:':13}{program()} test --run {table[0]['runs'].partition(' ')[0]}")
    elif all(row["status"] == "failed" for row in table):
        reason = next(trial.user_attrs.get("error") for trial in study.ranked())
        raise FirstlightError(f"all {len(table)} trials failed, the first of them: {reason}")
