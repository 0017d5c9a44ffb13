"""A worker of a sweep: it runs one trial after the other."""

import os
import shutil
import signal
import statistics
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from optuna.trial import Trial

from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import LOGS, SWEEP_LOG, Run
from firstlight.engine.runs.locks import is_run_locked
from firstlight.engine.runs.receipts import Ending
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import to_flags, trial_count
from firstlight.engine.sweeps.study import Study, standard_deviation
from firstlight.errors import FirstlightError

POLL_INTERVAL = 0.5
"""Seconds between two looks for a trial, while other workers run the last ones."""


class Worker:
    """Runs one trial after the other, each of its runs in a process of its own."""

    def __init__(self, study: Study, flags: list[str], root: Path, name: str) -> None:
        self.study, self.flags, self.logs = study, flags, root / LOGS
        self.log = self.logs / name / SWEEP_LOG
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.stopped_by = 0
        self._child: children.Child | None = None

    def work(self) -> None:
        """Run trials until all have ended, or a signal stops the worker."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle_signal)
        is_waiting = False
        while not self.stopped_by:
            trial = self.study.claim()
            if trial:
                self._print_outcome(trial, self._run_trial(trial))
            elif unfinished := self.study.unfinished():
                if not is_waiting:
                    print(f"waiting for {trial_count(unfinished)} of other workers; Ctrl-C ends that", flush=True)
                is_waiting = True
                time.sleep(POLL_INTERVAL)
            else:
                return

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on to the run, which stops at its next checkpoint; a second signal ends both at once."""
        if self._child and self.stopped_by:
            self._child.kill()
        elif self._child:
            self._child.tell(number)
        if self.stopped_by:
            os._exit(128 + number)
        self.stopped_by = number

    def _run_trial(self, trial: Trial) -> str:
        """Train a trial's runs and record how it ended; return that as text."""
        scores: list[float] = []
        for number in range(len(self.study.plan.repeats)):
            if self.stopped_by:
                return "stopped"
            try:
                status, score = self._train(trial, number)
                reason = f"it has no {self.study.monitor}" if status == "finished" else status
            except FirstlightError as error:
                status, score, reason = "failed", None, str(error)
            if self.stopped_by and status != "finished":
                return "stopped"  # another worker puts the trial back into the queue once this one has ended
            if status == "pruned":
                self.study.prune(trial)
                return status
            if score is None:
                self.study.fail(trial, reason)
                return f"failed: {reason}"
            scores.append(score)
        first = Run(self.logs / trial.user_attrs["runs"]["0"])
        self.study.finish(trial, scores, first.config.read_text(encoding="utf-8"))
        deviation = standard_deviation(scores)
        spread = "" if deviation is None else f" +- {deviation:.2g}"
        return f"{self.study.monitor} {statistics.fmean(scores):.5g}{spread}"

    def _train(self, trial: Trial, number: int) -> tuple[Ending, float | None]:
        """Train one run of a trial, unless an earlier worker did; return how it ended, and its best score."""
        flags = [*self.flags, *to_flags({**trial.params, **self.study.plan.repeats[number]})]
        run = self._earlier_run(trial, number, flags)
        if run:
            receipt = run.read_receipt()
            status = receipts.status(run, receipt)
            if status in ("finished", "pruned"):
                return status, receipt.get("best", {}).get("score")
            if status == "stopped" and run.last.is_file() and not receipt.get("not_resumable"):
                flags = ["--resume", str(run.folder)]
            elif status != "running" or is_run_locked(run) is False:
                shutil.rmtree(run.folder)  # the same flags give the same run again
        self._child = children.Child("fit", flags, log=self.log)
        if self.stopped_by:
            self._child.tell(self.stopped_by)
        try:
            status, score = self._child.wait(partial(self._answer, trial, number), self.study.storage.heartbeat)
        finally:
            self._child = None
        return status, score

    def _earlier_run(self, trial: Trial, number: int, flags: list[str]) -> Run | None:
        """Return the run that an earlier worker started for this trial with the same flags, if there is one."""
        name = trial.user_attrs.get("runs", {}).get(str(number))
        run = Run(self.logs / name) if name else None
        commands = run.read_receipt().get("commands", []) if run else []
        # on the disk of another machine, a folder with this name may belong to another trial
        is_same = [words[2:] for words in commands[:1]] == [flags]
        is_changed = any(words[1:2] == ["fit"] and len(words) > 4 for words in commands[1:])  # more than --resume RUN
        return run if is_same and not is_changed else None

    def _answer(self, trial: Trial, number: int, message: tuple[Any, ...]) -> bool:
        """Record the folder or the score that a run reports, and return whether to prune it."""
        kind, *content = message
        if kind == "run":
            trial.set_user_attr("runs", {**trial.user_attrs.get("runs", {}), str(number): content[0]})
        elif number == 0:  # only runs with the same seed or fold are compared
            epoch, score = content
            trial.report(score, epoch)
            return trial.should_prune()
        return False

    def _print_outcome(self, trial: Trial, outcome: str) -> None:
        shown = {key: f"{value:.5g}" if isinstance(value, float) else value for key, value in trial.params.items()}
        values = "  ".join(f"{key}={value}" for key, value in shown.items())
        best = self.study.ranked()[:1]
        so_far = f"  best: {best[0].value:.5g} (trial {best[0].number})" if best and best[0].value is not None else ""
        print(f"trial {trial.number}: {outcome}  {values}{so_far}".replace("\n", " "), flush=True)
