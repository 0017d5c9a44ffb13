"""A worker of a sweep: it takes one trial after the other, and says how each ended."""

import os
import shutil
import signal
import statistics
import time
from pathlib import Path
from types import FrameType
from typing import Any

from optuna.trial import Trial

from firstlight.engine.runs import folders, receipts
from firstlight.engine.runs.folders import LOGS, Run
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import counted, flags_of
from firstlight.engine.sweeps.study import Study
from firstlight.errors import FirstlightError

__all__ = ["Worker"]

POLL = 0.5
"""Seconds between looks at what other workers do."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Worker:
    """Whoever takes one trial after the other, and trains its runs in processes of their own.

    Args:
        study: The trials.
        flags: As for ``fit``, for all runs.
        root: Folder that holds ``lightning_logs``.
        name: What the sweep is called.
    """

    def __init__(self, study: Study, flags: list[str], root: Path, name: str) -> None:
        self.study, self.flags, self.root = study, flags, root
        self.log = root / LOGS / name / "sweep.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.stopped = 0
        self._child: children.Child | None = None

    def work(self) -> None:
        """Take trials until all are finished, or a signal comes."""
        for number in SIGNALS:
            signal.signal(number, self._receive)
        waiting = False
        while not self.stopped:
            trial = self.study.claim()
            if trial:
                self._line(trial, self._try(trial))
            elif left := self.study.unfinished():
                if not waiting:
                    print(f"waiting for {counted(left)} that other workers have begun", flush=True)
                waiting = True
                time.sleep(POLL)
            else:
                return

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on: a run ends at its next border; a second signal ends everything at once."""
        if self._child:
            self._child.tell(signal.SIGKILL if self.stopped else number)
        if self.stopped:
            os._exit(128 + number)
        self.stopped = number

    def _try(self, trial: Trial) -> str:
        """Train a trial's runs, note how it ended, and say it."""
        scores = []
        for number in range(len(self.study.plan.repeats)):
            try:
                status, score = self._run(trial, number) if not self.stopped else ("stopped", None)
            except FirstlightError as error:
                status, score = f"failed: {error}", None
            if self.stopped and status != "finished":
                return "stopped"  # once this worker has ended, another puts the trial back into the queue
            if status == "finished" and score is None:
                status = f"failed: it has no {self.study.monitor}"
            if status == "pruned":
                self.study.prune(trial)
                return status
            if score is None:
                self.study.fail(trial, status.removeprefix("failed: "))
                return status
            scores.append(score)
        first = Run(self.root / LOGS / trial.user_attrs["runs"]["0"])
        self.study.finish(trial, scores, first.config.read_text(encoding="utf-8"))
        return f"{self.study.monitor} {_spread(scores)}"

    def _run(self, trial: Trial, number: int) -> tuple[str, float | None]:
        """Train one run of a trial, unless that is done; return how it ended, and its best score."""
        left = trial.user_attrs.get("runs", {}).get(str(number))
        run = Run(self.root / LOGS / left) if left else None
        values = {**trial.params, **self.study.plan.repeats[number]}
        flags = [*self.flags, *flags_of(values)]
        # on another machine's disk a folder of this name may be another trial's
        if run and [words[2:] for words in receipts.read(run).get("commands", [])][:1] == [flags]:
            state, best = receipts.status(run), receipts.read(run).get("best") or {}
            if state in ("finished", "pruned"):
                return state, best.get("score")
            if state == "stopped" and run.last.is_file():
                flags = ["--resume", str(run.folder)]
            elif not folders.is_run_locked(run):
                shutil.rmtree(run.folder)  # it was killed, and comes again to the same bits

        def answer(message: tuple[Any, ...]) -> bool:
            kind, *content = message
            if kind == "run":
                trial.set_user_attr("runs", {**trial.user_attrs.get("runs", {}), str(number): content[0]})
            elif number == 0:  # only runs of the same seed or fold are compared
                epoch, score = content
                trial.report(score, epoch)
                return trial.should_prune()
            return False

        self._child = children.Child("fit", flags, log=self.log)
        if self.stopped:
            self._child.tell(self.stopped)
        try:
            status, score = self._child.wait(answer, self.study.keeper.sign)
        finally:
            self._child = None
        return status, score

    def _line(self, trial: Trial, outcome: str) -> None:
        values = "  ".join(f"{key}={_brief(value)}" for key, value in trial.params.items())
        best = self.study.ranked()[:1]
        so_far = f"  best: {best[0].value:.5g} (trial {best[0].number})" if best and best[0].value is not None else ""
        print(f"trial {trial.number}: {outcome}  {values}{so_far}".replace("\n", " "), flush=True)


def _spread(scores: list[float]) -> str:
    """Return the mean of a trial's scores and their standard deviation."""
    deviation = f" +- {statistics.stdev(scores):.2g}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.5g}{deviation}"


def _brief(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
