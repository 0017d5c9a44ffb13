"""Run ``fit``, ``validate``, ``test`` or ``predict``, from the first line that is printed to the last."""

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lightning.pytorch import Trainer
from torch import nn
from torch.nn.parameter import is_lazy

from firstlight.engine import processes
from firstlight.engine.callbacks import Ended, ResumableLoaders, Stopped, not_resumable, refuse_no_step
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.command import STOPPING, Command, prepared
from firstlight.engine.command.evaluation import evaluate, inputs_of, predict_with
from firstlight.engine.command.loggers import where_to_look
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.conditions import compare_conditions, current_conditions
from firstlight.engine.runs.folders import SWEEP_LOG, Run, relative_to_cwd
from firstlight.engine.runs.locks import lock_run
from firstlight.errors import DataError, FirstlightError, UsageError


def run(stage: str, words: Sequence[str], reproduced: Run | None = None) -> dict[str, Any]:
    """Do what a command line asks for, and return what came out: the run that was made or used, scores, files.

    Raises:
        FirstlightError: If a user can mend what failed.
        Ended: If a signal stopped it.
    """
    with prepared(stage, words) as command:
        command.claim_folder()
        command.build()
        found = run_stage(command, reproduced)
    if "test" in command.request.switches and command.checkpoints.folder:  # which all processes know
        found["test"] = run("test", ["--run", str(command.checkpoints.folder.parent)])
    made = command.run
    return {"run": made and made.name, "folder": made and str(made.folder.absolute()), **found}


fit, validate, test, predict = (partial(run, stage) for stage in ("fit", "validate", "test", "predict"))


def run_stage(command: Command, reproduced: Run | None = None) -> dict[str, Any]:
    """Run a command that was built; return what came out, or raise a ``DataError`` if some files were skipped."""
    sys.argv = command.argv  # Lightning starts the other processes of a run with the words that it finds here
    is_first, strict = command.trainer.is_global_zero, "strict" in command.request.switches
    conditions = current_conditions(command.trainer.accelerator.name(), command.trainer.world_size)
    if reproduced:
        before = reproduced.read_receipt()
        command.fingerprint.reproduced, command.fingerprint.strict = before.get("data"), strict
        compare_conditions("run again", before, conditions, strict=strict)
        conditions["reproduces"] = reproduced.name
    elif command.request.is_resume and command.run and is_first:
        compare_conditions("resumed", command.run.read_receipt(), conditions, strict=strict)
    if is_first:
        _print_start(command)
    if command.is_fit:
        _fit(command, conditions)
        receipt = command.run.read_receipt() if command.run else {}
        return {key: receipt.get(key) for key in ("status", "step", "epochs", "best", "scores", "stopped_by")}
    found = predict_with(command) if command.request.stage == "predict" else evaluate(command)
    if command.run and is_first:
        receipts.add_command(command.run, command.argv, **conditions, data=command.fingerprint.found)
    if skipped := found.get("skipped"):
        raise DataError(f"files that were skipped: {len(skipped)}; the predictions are those of all others")
    return found


def _print_start(command: Command) -> None:
    path = command.request.checkpoint
    if command.is_fit:
        where = f" in {command.run}" if command.run else ""
        device = command.trainer.accelerator.name()
        print(f"{type(command.model).__name__}, {parameter_count(command.model)}, on {device}{where}")
        if command.run and command.request.is_resume and (command.run.folder.parent / SWEEP_LOG).exists():
            print("sweep:   this run is one of a sweep, which counts its score unless settings were changed")
    if path:
        epoch = command.start_epoch
        when = f", epoch {epoch + 1}, step {command.start_step}" if epoch is not None else ""
        print(f"weights: {relative_to_cwd(path)}{when}")
    elif not command.is_fit:
        print("weights: untrained, as asked for (--ckpt_path none)")


def parameter_count(model: nn.Module) -> str:
    """Return the number of parameters as text; lazy layers have none before their first batch."""
    parameters = list(model.parameters())
    known = [parameter.numel() for parameter in parameters if not is_lazy(parameter)]
    more = " and lazy layers" if len(known) < len(parameters) else ""
    return f"{sum(known):,} parameters{more}"


def _fit(command: Command, conditions: dict[str, Any]) -> None:
    """Train, keep the run's receipt, and say what came out and what to do next."""
    folder = command.run if command.trainer.is_global_zero else None
    try:
        with lock_run(folder):
            _train(command, folder, conditions)
    except Stopped as stopped:
        goes_on = folder and not stopped.not_resumable and stopped.signal.name == "SIGUSR1"
        stopped.is_requeued = bool(goes_on) and processes.requeue_slurm_job()
        raise
    except FileNotFoundError as error:
        if folder and "start" not in folder.read_receipt():
            raise FirstlightError(f"{folder} is gone: it was moved or removed while the run was training") from error
        raise
    if command.trainer.is_global_zero:
        _print_end(command)


def _train(command: Command, folder: Run | None, conditions: dict[str, Any]) -> None:
    trainer = command.trainer
    before = folder.read_receipt() if folder else {}
    status: receipts.Ending = "failed"
    if folder:
        command.fingerprint.run = folder
        for loaders in internals.callbacks_of(trainer, ResumableLoaders):
            loaders.run = folder
        receipts.start(folder, command.argv, command.config.seed_everything, command.request.note, **conditions)
    try:
        trainer.fit(**inputs_of(command))
        refuse_no_step(trainer)
        if trainer.global_step == command.start_step and not command.request.is_resume:
            raise UsageError(_nothing_left(trainer))
        status = "finished"
    except Ended as ended:
        status = ended.status
        ended.step, ended.run, ended.not_resumable = trainer.global_step, folder, not_resumable(trainer)
        raise
    except RuntimeError as error:
        if trainer.world_size == 1 or not re.search(r"(?i)closed by peer|reset by peer|nccl", str(error)):
            raise
        checkpoints = command.checkpoints.folder  # all processes know this one
        how = f": {program()} fit {Run(checkpoints.parent).as_flag('--resume')}" if checkpoints else ""
        advice = not_resumable(trainer) or f"go on from its last checkpoint{how}"
        raise FirstlightError(f"another process of this run ended; {advice}") from error
    finally:
        if folder:
            _close_receipt(command, folder, status, before)


def _close_receipt(command: Command, folder: Run, status: receipts.Ending, before: Mapping[str, Any]) -> None:
    trainer, checkpoints = command.trainer, command.checkpoints
    best = {"name": checkpoints.monitor, "mode": checkpoints.mode, "score": checkpoints.best_score}
    best["epoch"] = None if checkpoints.best_epoch is None else checkpoints.best_epoch + 1
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    close = partial(receipts.update, folder, **before)  # it had finished, or may not go on like this
    if not before or scores or status == "stopped":
        step, epochs, stopped_by = trainer.global_step, trainer.current_epoch, command.resumed.stopped_by
        ending = {"step": step, "epochs": epochs, "best": best, "stopped_by": stopped_by}
        close = partial(receipts.end, folder, status, scores, **ending)
    with contextlib.suppress(*[OSError] * (status != "finished")):  # then the run's own error says what is wrong
        try:
            close()
        except OSError:
            close()  # a disk may fail for a moment, but a receipt that says running stays wrong


def _nothing_left(trainer: Trainer) -> str:
    limit = "max_steps" if 0 <= trainer.max_steps <= trainer.global_step else "max_epochs"
    return f"there was nothing left to do: raise --trainer.{limit} (now {getattr(trainer, limit)})"


def _print_end(command: Command) -> None:
    trainer, checkpoints = command.trainer, command.checkpoints
    if command.run is None:
        print("every stage ran on a few batches; nothing was saved (trainer.fast_dev_run)")
        return
    is_unchanged, stopped_by = command.start_step == trainer.global_step, command.resumed.stopped_by
    if stopped_by and is_unchanged:
        where = " or ".join(f"--{setting}" for setting in STOPPING)
        print(f"there was nothing left to do: it was stopped early ({stopped_by}); change that in {where}")
    elif is_unchanged and command.resumed.is_unfinished:
        print("all steps were done already: only the end of the run was left to do")
    elif is_unchanged:
        print(_nothing_left(trainer))
    elif stopped_by:
        print(f"early:   {stopped_by}")
    if checkpoints.best_score is not None and checkpoints.best_epoch is not None:
        print(f"best:    {checkpoints.monitor} {checkpoints.best_score:.5g} in epoch {checkpoints.best_epoch + 1}")
    print(f"run:     {command.run}")
    for path in sorted(command.run.folder.glob("fit-*.txt")):  # where Lightning's profilers write
        print(f"profile: {relative_to_cwd(path)}")
    for place in where_to_look(trainer.loggers):
        print(f"curves:  {place}")
    if command.run.last.exists() and "test" not in command.request.switches:
        print(f"next:    {program()} test {command.run.as_flag('--run')}")
