"""The trials of a sweep, shared by its workers: each trial is run once, and there are as many as were asked for.

Trials wait in Optuna's queue, numbered from 0. Whoever looks for work fills the queue up to the number that was
asked for, puts back what dead workers had begun, and takes the first that waits, all of it alone (see ``locks``): so
it does not matter who comes first, who dies when, or how often the number is raised. A trial that is put back keeps
its number and its values. What a trial's values are depends on the seed, its number and the trials before it, not on
how many workers there are or how often one began anew.
"""

import contextlib
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from firstlight.engine.sweeps.locks import Keeper
from firstlight.engine.sweeps.plan import Choices, Plan, Range
from firstlight.errors import UsageError

__all__ = ["Study"]

PATIENCE = {"n_startup_trials": 5, "n_warmup_steps": 1}
"""No trial is pruned before this many are finished, nor by its first epoch."""


class Study:
    """A sweep's trials.

    Args:
        keeper: Where they are.
        name: What the sweep is called.
        plan: What is searched.
        facts: What holds for all trials: ``monitor`` and ``mode`` of the score, ``seed`` of the choice of values
            unless the plan has one, and ``settings`` by dotted key.

    Raises:
        UsageError: If the sweep was begun with another search.
    """

    def __init__(self, keeper: Keeper, name: str, plan: Plan, facts: Mapping[str, Any]) -> None:
        self.keeper, self.plan, self.monitor = keeper, plan, str(facts["monitor"])
        self.seed = facts["seed"] if plan.seed is None else plan.seed
        self.sign = -1 if facts["mode"] == "max" else 1
        pruner = optuna.pruners.MedianPruner(**PATIENCE) if plan.pruner == "median" else optuna.pruners.NopPruner()
        meant = {**plan.described, **facts["settings"], "score": [facts["monitor"], facts["mode"]]}
        with keeper.alone():
            self.study = optuna.create_study(
                storage=keeper.storage,
                study_name=name,
                direction="maximize" if facts["mode"] == "max" else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
            begun = self.study.user_attrs.get("plan", meant)
            if begun == meant:
                self.study.set_user_attr("plan", meant)
        for key in (key for key in {**meant, **begun} if begun.get(key) != meant.get(key)):
            raise UsageError(
                f"the sweep {name} was begun with another {key}: {begun.get(key)}, not {meant.get(key)}\n"
                "what is not alike cannot be compared: begin another sweep with --name"
            )
        self._everything = plan.everything
        self.planned = plan.trials if self._everything is None else len(self._everything)
        self._distributions = {key: _distribution(values) for key, values in plan.search.items()}
        self._id = keeper.storage.get_study_id_from_name(name)

    def claim(self) -> Trial | None:
        """Return a trial that is now this worker's, with its values; None if none waits."""
        with self.keeper.alone():
            for values in self._missing():
                self.study.enqueue_trial(values)
            for trial in self.trials(TrialState.RUNNING):
                worker = trial.user_attrs.get("worker")
                if worker is None or not (worker == self.keeper.worker or self.keeper.lives(worker)):
                    self._put_back(trial.number)
            waiting = self.trials(TrialState.WAITING)
            if not waiting or waiting[0].number >= self.planned:
                return None
            # of the seed and the number: workers that all began with one seed would all choose the same
            seed = random.Random(f"{self.seed} {waiting[0].number}").getrandbits(32)  # noqa: S311
            self.study.sampler = optuna.samplers.TPESampler(seed=seed)
            claimed = self.study.ask(self._distributions)  # it takes the first that waits
            claimed.set_user_attr("worker", self.keeper.worker)
            return claimed

    def _missing(self) -> list[dict[str, Any]]:
        """Return what is fixed for each trial that the queue lacks: nothing, unless everything is to be tried."""
        trials = self.trials()
        missing = max(self.planned - len(trials), 0)
        if self._everything is None:
            return [{}] * missing
        tried = [trial.params or trial.system_attrs.get("fixed_params") for trial in trials]
        return [values for values in self._everything if values not in tried][:missing]

    def _put_back(self, number: int) -> None:
        """Let another worker do a trial from its start."""
        trial = self.keeper.storage.get_trial_id_from_study_id_trial_number(self._id, number)
        with contextlib.suppress(UpdateFinishedTrialError):  # it ended in the very moment
            self.keeper.storage.set_trial_state_values(trial, TrialState.WAITING)

    def finish(self, trial: Trial, scores: Sequence[float], config: str = "") -> None:
        """Note the scores of a trial's runs, and the configuration of the first."""
        self.keeper.sign()
        trial.set_user_attr("scores", list(scores))
        trial.set_user_attr("config", config)  # its folder may be on another machine
        self.study.tell(trial, statistics.fmean(scores))

    def prune(self, trial: Trial) -> None:
        """Note that a trial was not worth its time."""
        self.keeper.sign()
        self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Note that a trial failed, and why."""
        self.keeper.sign()
        trial.set_user_attr("error", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in some states, or all, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def unfinished(self) -> int:
        """Return how many trials of those that were asked for are not finished."""
        planned = [trial for trial in self.trials() if trial.number < self.planned]
        return self.planned - sum(trial.state.is_finished() for trial in planned)

    def ranked(self) -> list[FrozenTrial]:
        """Return the finished trials, the best first, then those that were pruned, then those that failed."""
        order = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
        return sorted(
            self.trials(*order),
            key=lambda t: (order.index(t.state), self.sign * (t.value or 0.0), t.number),
        )

    def importances(self) -> dict[str, float]:
        """Return which share of the difference between good trials and others lies in what is searched.

        PED-ANOVA compares how the values of the best tenth of the trials lie with how all lie.

        Source: Watanabe, Bansal and Hutter (2023), https://arxiv.org/abs/2304.10255.
        """
        finished = self.trials(TrialState.COMPLETE)
        if len({trial.value for trial in finished}) < 2:
            return {}
        return optuna.importance.get_param_importances(self.study)


def scores(trial: FrozenTrial) -> dict[str, Any]:
    """Return mean and standard deviation of a finished trial's scores; of one score there is no deviation."""
    found = trial.user_attrs.get("scores", [])
    return {"mean": trial.value, "std": statistics.stdev(found) if len(found) > 1 else None}


def _distribution(values: Range | Choices) -> BaseDistribution:
    if isinstance(values, Choices):
        return CategoricalDistribution(values.values)
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(float(values.low), float(values.high), log=values.log)
