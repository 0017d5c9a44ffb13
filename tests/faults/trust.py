"""Every callback of Lightning that acts on training with every schedule: killed twice and resumed, or refused."""

import random
from itertools import product

from tests.faults.harness import differences, firstlight, left_behind
from tests.faults.place import OWN, short

CALLBACKS = {
    "": "",
    "BackboneFinetuning": "unfreeze_backbone_at_epoch=1, train_bn=false",
    "EarlyStopping": "monitor=loss/val, patience=2",
    "EMAWeightAveraging": "update_starting_at_step=4",
    "GradientAccumulationScheduler": "scheduling={1: 2}",
    "ModelPruning": "pruning_fn=l1_unstructured, amount=0.5",
    "SpikeDetection": "",
    "StochasticWeightAveraging": "swa_lrs=0.005, swa_epoch_start=1",
    "WeightAveraging": "",
}
"""Callbacks that change how a run goes, with their arguments; tests/engine/callbacks has the others of Lightning."""
SCHEDULES = {
    "": "",
    "ConstantLR": "total_iters=2",
    "CosineAnnealingLR": "",
    "CosineAnnealingWarmRestarts": "T_0=2",
    "CyclicLR": "base_lr=0.001, max_lr=0.01, step_size_up=3",
    "ExponentialLR": "gamma=0.9",
    "LinearLR": "total_iters=2",
    "MultiStepLR": "milestones=[1,2]",
    "OneCycleLR": "max_lr=0.01",
    "PolynomialLR": "",
    "ReduceLROnPlateau": "monitor=loss/val, patience=0",
    "StepLR": "step_size=1",
    "WarmupCosineLR": "warmup=3",
}
FLAGS = [
    "fit",
    "--model=Headed",
    "--data=Houses",
    "--data.num_examples=65",
    "--trainer.max_epochs=4",
    "--trainer.accelerator=cpu",
    "--checkpoint.every_n_steps=2",
    "--updates_per_batch=3",
    "--pictures=none",
]
REFUSED = ("ModelPruning", "SpikeDetection")


def chosen(key, name, arguments):
    """Return the flags that choose a class."""
    words = [f"--{key}={name}", *(f"--{key}.{word}" for word in arguments.split(", ") if word)]
    return words if name else []


def trust(place, count=None, seed=0):
    """A run with each callback that changes it, and with each schedule, is killed at two random steps, and goes on."""
    chance = random.Random(seed)
    pairs = list(product(CALLBACKS, SCHEDULES))
    for callback, schedule in chance.sample(pairs, count) if count else pairs:
        flags = [
            *FLAGS,
            *chosen("trainer.callbacks", callback, CALLBACKS[callback]),
            *chosen("lr_scheduler", schedule, SCHEDULES[schedule]),
        ]
        name = f"killed twice: {callback or 'no callback'}"
        whole = place.fresh()
        ended = firstlight(whole, *flags, **OWN)
        if ended.status:  # this callback does not go with that schedule, which it must say
            wrong = short(ended.text, ended.status)
            yield name, f"{schedule}: {wrong}" if wrong else ""
            continue
        expected = left_behind(whole)
        kills = sorted(chance.sample(range(1, expected["last"]["global_step"]), 2))
        wrong = killed_and_resumed(place.fresh(), flags, kills, expected, may_refuse=callback in REFUSED)
        yield name, f"{schedule}, killed at {kills}: {wrong}" if wrong else ""


def killed_and_resumed(folder, flags, kills, expected, *, may_refuse):
    """Return in what a run that is killed at some steps, and resumed, differs from an unbroken one."""
    words = flags
    for step in (*kills, None):
        fault = None if step is None else {"do": "SIGKILL", "step": step}
        ended = firstlight(folder, *words, fault=fault, **OWN)
        if may_refuse and ended.status in (1, 2):
            return short(ended.text, ended.status)
        if ended.status != (-9 if fault else 0):
            return f"exit {ended.status}: {ended.text[-300:]}"
        words = ["fit", "--resume"]
    return ", ".join(list(differences(expected, left_behind(folder)))[:3])
