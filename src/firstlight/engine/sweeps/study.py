"""The trials of a sweep, shared by its workers: each trial is run once, and no more are run than asked for.

Trials wait in Optuna's queue, numbered from 0. A worker that looks for a trial holds the storage's exclusive lock
while it adds the trials that are missing, puts back those of dead workers and takes the first that waits. So it does
not matter which worker comes first, when one dies, or how often the number of trials is raised. A trial that is put
back keeps its number and its values, which depend on the seed, its number and the trials before it only.
"""

import contextlib
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from firstlight.engine.sweeps.plan import Plan
from firstlight.engine.sweeps.storage import Storage
from firstlight.errors import UsageError

MIN_TRIALS = 20
"""With fewer trials the best tenth is one trial, which says nothing about what is important."""
NUM_RESAMPLED = 50
PRUNING = {"n_startup_trials": 5, "n_warmup_steps": 1}
"""No trial is pruned before this many have finished, nor after its first epoch."""


class Study:
    """A sweep's trials.

    The facts are the same for all of them: ``monitor`` and ``mode`` of the score, ``seed`` of the sampler unless the
    plan has one, and ``settings`` by dotted key.

    Raises:
        UsageError: If the sweep was started with another search or other settings.
    """

    def __init__(self, storage: Storage, name: str, plan: Plan, facts: Mapping[str, Any]) -> None:
        self.storage, self.plan, self.monitor = storage, plan, str(facts["monitor"])
        self.seed = facts["seed"] if plan.seed is None else plan.seed
        self.maximize = facts["mode"] == "max"
        identity = {**plan.identity, **facts["settings"], "score": [facts["monitor"], facts["mode"]]}
        pruner = optuna.pruners.MedianPruner(**PRUNING) if plan.pruner == "median" else optuna.pruners.NopPruner()
        with storage.exclusive():
            self.optuna_study = optuna.create_study(
                storage=storage.optuna_storage,
                study_name=name,
                direction="maximize" if self.maximize else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
            stored = self.optuna_study.user_attrs.get("plan", identity)
            if stored == identity:
                self.optuna_study.set_user_attr("plan", identity)
        for key in (key for key in {**identity, **stored} if stored.get(key) != identity.get(key)):
            raise UsageError(
                f"the sweep {name} was started with another {key}: {stored.get(key)}, not {identity.get(key)}\n"
                "its trials could not be compared: choose another name for this sweep with --name"
            )
        self._grid = plan.grid
        self.planned = plan.trials if self._grid is None else len(self._grid)

    def claim(self) -> Trial | None:
        """Return a trial that now belongs to this worker, with its values; None if none waits."""
        with self.storage.exclusive():
            for values in self._missing():
                self.optuna_study.enqueue_trial(values)
            for trial in self.trials(TrialState.RUNNING):
                worker = trial.user_attrs.get("worker")
                if worker is None or not (worker == self.storage.worker or self.storage.is_worker_alive(worker)):
                    self._put_back(trial.number)
            waiting = self.trials(TrialState.WAITING)
            if not waiting or waiting[0].number >= self.planned:
                return None
            # a seed for each number: workers that all started with one seed would choose the same values
            seed = random.Random(f"{self.seed} {waiting[0].number}").getrandbits(32)  # noqa: S311
            self.optuna_study.sampler = optuna.samplers.TPESampler(seed=seed)
            claimed = self.optuna_study.ask(self.plan.search)  # it takes the first that waits
            claimed.set_user_attr("worker", self.storage.worker)
            return claimed

    def _missing(self) -> list[dict[str, Any]]:
        """Return the fixed values of each trial that the queue lacks: none, unless it is a grid search."""
        trials = self.trials()
        number = max(self.planned - len(trials), 0)
        if self._grid is None:
            return [{}] * number
        tried = [trial.params or trial.system_attrs.get("fixed_params") for trial in trials]
        return [values for values in self._grid if values not in tried][:number]

    def _put_back(self, number: int) -> None:
        """Let another worker start a trial again."""
        storage = self.storage.optuna_storage
        study_id = storage.get_study_id_from_name(self.optuna_study.study_name)
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
        with contextlib.suppress(UpdateFinishedTrialError):  # its worker has finished it in the meantime
            storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def finish(self, trial: Trial, scores: Sequence[float], config: str = "") -> None:
        """Record the scores of a trial's runs, and the config of the first."""
        self.storage.heartbeat()
        trial.set_user_attr("scores", list(scores))
        trial.set_user_attr("config", config)  # its folder may be on another machine
        self.optuna_study.tell(trial, statistics.fmean(scores))

    def prune(self, trial: Trial) -> None:
        """Record that a trial was pruned."""
        self.storage.heartbeat()
        self.optuna_study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Record that a trial failed, and why."""
        self.storage.heartbeat()
        trial.set_user_attr("error", reason)
        self.optuna_study.tell(trial, state=TrialState.FAIL)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return all trials, or those in some states, by number."""
        return self.optuna_study.get_trials(deepcopy=False, states=states or None)

    def unfinished(self) -> int:
        """Return how many of the planned trials have not ended."""
        planned = [trial for trial in self.trials() if trial.number < self.planned]
        return self.planned - sum(trial.state.is_finished() for trial in planned)

    def ranked(self) -> list[FrozenTrial]:
        """Return the finished trials, the best first, then the pruned, then the failed."""
        order = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]

        def rank(trial: FrozenTrial) -> tuple[int, float, int]:
            value = trial.value or 0.0
            return order.index(trial.state), -value if self.maximize else value, trial.number

        return sorted(self.trials(*order), key=rank)

    def importances(self) -> dict[str, list[float]]:
        """Return by searched setting its importance for the score, and an interval; nothing if there are few trials.

        PED-ANOVA compares the distribution of values in the best tenth of the trials with that in all trials. The
        interval holds 80 % of the importances in sets of trials that are drawn from these, with replacement.

        Source: Watanabe, Bansal and Hutter (2023), https://arxiv.org/abs/2304.10255.
        """
        finished = self.trials(TrialState.COMPLETE)
        if len(finished) < MIN_TRIALS or len({trial.value for trial in finished}) < 2:
            return {}
        draw = random.Random(self.seed).choices  # noqa: S311  # the same chart for the same trials
        drawn = [_importances(draw(finished, k=len(finished)), self.maximize) for _ in range(NUM_RESAMPLED)]
        deciles = {name: statistics.quantiles([each.get(name, 0.0) for each in drawn], n=10) for name in drawn[0]}
        return {
            name: [share, min(share, deciles[name][0]), max(share, deciles[name][-1])]
            for name, share in _importances(finished, self.maximize).items()
        }


def _importances(trials: Sequence[FrozenTrial], maximize: bool) -> dict[str, float]:
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    study.add_trials(trials)
    return optuna.importance.get_param_importances(study)


def standard_deviation(scores: Sequence[float]) -> float | None:
    """Return the standard deviation of the scores of a trial's runs; a single score has none."""
    return statistics.stdev(scores) if len(scores) > 1 else None
