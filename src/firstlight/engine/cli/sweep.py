"""``firstlight sweep``: a hyperparameter search, on any number of machines."""

import signal
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firstlight.engine.cli.help import help_asked
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.configs import find_sweep
from firstlight.engine.command.request import Request
from firstlight.engine.packages import require
from firstlight.engine.program import CommandParser, program
from firstlight.engine.runs.folders import LOGS, Run, relative_to_cwd
from firstlight.errors import FirstlightError, UsageError

if TYPE_CHECKING:
    from firstlight.engine.sweeps.sweep import Outcome

REFUSED = ("--resume", "--run", "--test", "--print_config", "--trainer.fast_dev_run")
"""Flags of ``fit`` that do anything else than train a new run and keep it."""

HELP = """\
usage: firstlight sweep --config NAME --sweep FILE [--trials N] [--storage PLACE] [--KEY VALUE ...]

Hyperparameter search: train a run for each trial, and rank the trials by their best validation score.

  --sweep mlp               the sweep file: a path, or the name of a file in configs/sweeps
  --trials 40               number of configurations to try, by default the sweep file's; raise it to continue a sweep
  --storage FILE            where the trials are stored, by default in the sweep's folder: a file on a shared disk
  --storage postgresql://user@host/database      or a database
  --name wide               sweep name, by default the config's: mlp_sweep
  --trainer.max_epochs 20   any setting of fit, for all runs
  --pictures all            draw pictures in each run; otherwise `firstlight pictures RUN` draws those of any run

The sweep file:

  trials: 20
  search:
    model.lr: {low: 0.01, high: 1.0, log: true}          a range of numbers; log: on a log scale
    data.batch_size: {low: 32, high: 512}                a range of integers, as both ends are integers
    model.hidden_dims: {choices: [[256], [512, 128]]}    a list of values of any type
  repeats:                                               runs of each configuration; its score is their mean
    seed_everything: [0, 1, 2]
  pruner: median                                         prune trials that are worse than the median; or none

Runs are kept in lightning_logs/NAME. To continue a sweep, or to share it between machines, start the same command
again.
"""


def sweep(args: list[str]) -> dict[str, Any] | None:
    """Run trials of a sweep until all have ended, and print the results.

    Raises:
        UsageError: If the sweep file, the config or a flag is wrong.
        FirstlightError: If Optuna is not installed, the storage cannot be reached, or all trials failed.
    """
    if help_asked(args):
        print(HELP.replace("firstlight", program()), end="")
        return None
    parser = CommandParser("sweep")
    for flag in ("--sweep", "--storage", "--name"):
        parser.add_argument(flag)
    parser.add_argument("--trials", type=int)
    options, flags = parser.parse_known_args(args)
    require("sweep", "optuna", extra="sweep")
    if options.sweep is None:
        raise UsageError("--sweep is missing: the path of a sweep file, or the name of one in configs/sweeps")
    for word in flags:
        if (flag := word.partition("=")[0]) in REFUSED:
            raise UsageError(f"{flag} cannot be used with sweep, which trains new runs and keeps them")
        if near := get_close_matches(flag.removeprefix("--").removeprefix("sweep."), ("trials", "storage"), cutoff=0.8):
            raise UsageError(f"{flag}: sweep has no such flag; did you mean --{near[0]}?")
    from firstlight.engine.sweeps.plan import read_plan, trial_count  # noqa: PLC0415  # it needs Optuna, an extra
    from firstlight.engine.sweeps.sweep import run_sweep  # noqa: PLC0415

    request = Request.read("fit", [*flags, *(["--name", options.name] if options.name else [])])
    plan = read_plan(find_sweep(options.sweep), options.trials, request.typed)
    name = options.name or f"{request.name}_sweep"
    outcome = run_sweep(plan, flags, name, request.root, options.storage)
    if outcome.rows:
        _print_results(outcome, name, request.root)
    if outcome.stopped_by:
        left = f"; run the same command again to continue with {trial_count(outcome.unfinished)}"
        print(f"stopped by {signal.Signals(outcome.stopped_by).name}{left * bool(outcome.unfinished)}", file=sys.stderr)
    files = {what: str(path) for what, path in outcome.files.items()}
    status = 128 + outcome.stopped_by if outcome.stopped_by else 0
    return {"exit": status, "sweep": name, "trials": outcome.rows, "files": files, "unfinished": outcome.unfinished}


def _print_results(outcome: "Outcome", name: str, root: Path) -> None:
    """Print the table of trials, the files and the next command, or that all trials failed."""
    hidden = {"error"} if any(row["std"] is not None for row in outcome.rows) else {"error", "std"}
    table = [{key: value for key, value in row.items() if key not in hidden} for row in outcome.rows]
    print()
    print_table([row | {"runs": row["runs"].replace(f"{name}/", "")} for row in table])
    print()
    for what, path in outcome.files.items():
        print(f"{what + ':':13}{relative_to_cwd(path)}")
    if "best" in outcome.files:
        best = Run(root / LOGS / table[0]["runs"].partition(f" {name}/")[0])
        print(f"{'next:':13}{program()} test {best.as_flag('--run')}")
    elif all(row["status"] == "failed" for row in table):
        raise FirstlightError(f"all {len(table)} trials failed, the first with: {outcome.rows[0]['error']}")
