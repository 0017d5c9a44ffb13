"""All faults, tried one after the other: ``python -m tests.faults [GROUP ...]``, from the top of the checkout.

Every config is killed at several steps, in one process and in two; every signal comes in every phase of a run; files
are damaged, disks fill up, runs start together. What counts as lost: a run that does not go on to the very bits of an
unbroken one, a checkpoint that is not whole, a message that is longer than three lines, a process that is left over.
"""
# ruff: noqa: T201  # it prints a table

import logging
import math
import os
import random
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from functools import partial, update_wrapper
from itertools import product
from pathlib import Path

import torch
from tests.faults.fuzz import fuzz
from tests.faults.harness import differences, firstlight, left_behind, start, the_run, tiny, together
from tests.faults.operations import files, full_disk, restart_with_library
from tests.faults.place import OWN, Place, broken_checkpoints, short
from tests.faults.power import power
from tests.faults.trust import trust

from firstlight.engine.command.configs import config_names

ENDED = [status for status in range(-64, 256) if status]  # by itself, but not well
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
OWN_MODEL = "--model=MLP --model.num_features=4 --model.hidden_dims=[8] --model.num_classes=2 --trainer.accelerator=cpu"
WORKERS = (0, 1, 3)
EVERY3 = "--checkpoint.every_n_steps=3"
VARIANTS = {
    "accumulated": f"manual_cubic {EVERY3} --trainer.accumulate_grad_batches=2",
    "accumulated, averaged": f"neural_network_best {EVERY3} --trainer.accumulate_grad_batches=2"
    " --trainer.callbacks=EMAWeightAveraging --trainer.callbacks.update_every_n_steps=5",
    "validated in mid-epoch": f"dynamic_polynomial {EVERY3} --trainer.val_check_interval=0.5",
    "validated every 5 steps": f"dynamic_polynomial {EVERY3} --trainer.check_val_every_n_epoch=null "
    "--trainer.val_check_interval=5",
    "validated every 2 epochs": f"dynamic_polynomial {EVERY3} --trainer.check_val_every_n_epoch=2",
    "saved at epoch ends only": "dynamic_polynomial",
    "saved every 4 steps": "dynamic_polynomial --checkpoint.every_n_steps=4",
    "saved every step": "dynamic_polynomial --checkpoint.every_n_steps=1",
    "5 batches an epoch": f"dynamic_polynomial {EVERY3} --trainer.limit_train_batches=5",
    "a number of steps": f"dynamic_polynomial {EVERY3} --trainer.max_steps=20",
    "in double precision": f"mlp {EVERY3} --trainer.precision=64-true",
    "in bfloat16": f"mlp {EVERY3} --config=presets/bf16",
}


def steps_of(reference, count):
    """Return about as many steps, from the first to the last."""
    last = reference["last"]["global_step"] - 1
    return sorted({round(number * last / (count - 1)) for number in range(count)})


def alike(one, other):
    """Return whether two words are the same, or the same number but for rounding."""
    try:
        return one == other or math.isclose(float(one), float(other), rel_tol=1e-4)
    except ValueError:
        return False


def kills(place):
    """Every config, and every way of checkpointing, is killed and goes on."""
    cases = {name: f"{name} {EVERY3}" for name in config_names() if "/" not in name} | VARIANTS
    for name, words in cases.items():
        config, *more = words.split()
        flags = [*tiny(config, "../fashion"), *more]
        for step in steps_of(place.unbroken(flags), 6):
            yield f"killed: {name}", place.resumed(flags, {"do": "SIGKILL", "step": step})
        twice = [{"do": "SIGKILL", "step": 3}, {"do": "SIGKILL", "step": 7}]
        yield "killed twice", place.resumed(flags, *twice)
        for where in ("validation", "epoch"):
            yield f"killed in {where}", place.resumed(flags, {"do": "SIGKILL", "where": where})


def regroupings(place):
    """Runs are killed twice, and go on with another number of updates at a time, or one at a time for a setting."""
    numbers = [f"--updates_per_batch={number}" for number in (1, 2, 3, 7, 100)]
    for config in ("manual_cubic", "dynamic_polynomial", "mlp", "linear_regression"):
        flags = [*tiny(config, "../fashion"), "--trainer.log_every_n_steps=1", "--checkpoint.every_n_steps=4"]
        last = place.unbroken(flags)["last"]["global_step"]
        settings = [*numbers, f"--trainer.max_steps={last}", "--trainer.gradient_clip_val=1e9", "--trainer.min_steps=3"]
        for number, (before, after) in enumerate(product(numbers, settings)):
            faults = [{"do": "SIGKILL", "step": step} for step in (5 * number % last, last - 2)]
            yield f"regrouped: {config}", place.resumed([*flags, before], *faults, then=[after])


def processes(place):
    """Two processes are killed, or told to stop, and go on."""
    for config in ("autograd_cubic", "mlp"):
        flags = [*tiny(config, "../fashion"), EVERY3, "--config=presets/ddp"]
        for step, rank in ((4, 0), (7, 1)):
            fault = {"do": "SIGKILL", "step": step, "rank": rank}
            yield "killed, of 2 processes", place.resumed(flags, fault, statuses=ENDED, real=True)
        for name, rank in (("SIGTERM", 0), ("SIGTERM", 1), ("SIGTERM", "all"), ("SIGINT", "all")):
            fault, status = {"do": name, "step": 4, "rank": rank}, 128 + getattr(signal, name)
            yield "signal to 2 processes", place.resumed(flags, fault, statuses=[status], real=True)
        folder, left = place.fresh(), []
        firstlight(folder, *flags, real=True)
        for words in ([], ["--trainer.devices=1", "--trainer.strategy=auto"]):
            for command, file in (("test", "test.json"), ("predict", "predictions.csv")):
                firstlight(folder, command, *words, real=True)
                left.append((the_run(folder) / file).read_text())
        words = ["\n".join(pair).replace(",", "\n").split() for pair in (left[:2], left[2:])]
        good = len(words[0]) == len(words[1]) and all(map(alike, *words))
        yield "scored by 2 processes", "" if good else "other scores or predictions than by one"


def signals(place):
    """Every signal comes in every phase."""
    flags = [*tiny("dynamic_polynomial"), "--trainer.val_check_interval=0.5"]
    for name in SIGNALS:
        status = 128 + getattr(signal, name)
        for where, step in (("step", 4), ("step", 7), ("step", 23), ("sanity", 0), ("validation", 4), ("epoch", 8)):
            fault = {"do": name, "where": where, "step": step}
            yield f"{name} in training", place.resumed(flags, fault, statuses=[status])
        for where in ("setup", "test", "predict"):
            folder = place.fresh()
            command = "fit" if where == "setup" else where
            if command != "fit":
                firstlight(folder, *flags)
            words = flags if command == "fit" else [command]
            ended = firstlight(folder, *words, fault={"do": name, "where": where})
            yield f"{name} elsewhere", "" if ended.status == status else f"exit {ended.status}: {ended.text[-300:]}"
        ended = firstlight(place.fresh(), *flags, fault={"do": f"{name} SIGTERM", "step": 4})
        yield "second signal", "" if ended.status == 143 else f"exit {ended.status}"


def saving(place):
    """A run is killed while it writes a checkpoint, with TMPDIR on another file system."""
    flags = [*tiny("neural_network", "../fashion"), EVERY3]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as elsewhere:
        for do in ("cut", "written"):
            for step in (1, 3, 5, 6, 9, 10, 12, 15):
                fault = {"do": do, "where": "save", "step": step}
                yield "killed while saving", place.resumed(flags, fault, TMPDIR=elsewhere)
        chance = random.Random(0)
        for _ in range(20):
            folder = place.fresh()
            run = start(folder, *flags, "--checkpoint.every_n_steps=1", TMPDIR=elsewhere)
            time.sleep(chance.uniform(0.2, 1.2))
            os.kill(run.pid, signal.SIGKILL)
            run()
            ended = firstlight(folder, "fit", "--resume")  # or it says that there is nothing to go on from
            wrong = short(ended.text, ended.status) if ended.status else broken_checkpoints(folder)
            yield "killed at any moment", wrong
        yield "temporary files elsewhere", ", ".join(path.name for path in Path(elsewhere).iterdir())


def damage(place):
    """Damaged checkpoints are refused by name."""
    folder = place.fresh()
    firstlight(folder, *tiny("neural_network", "../fashion"))
    good = (the_run(folder) / "checkpoints/best.ckpt").read_bytes()
    chance = random.Random(0)
    files = [b"", b"hello\n", *(good[: len(good) * part // 4] for part in (1, 2, 3)), good[:-1], good[1:]]
    for _ in range(35):
        flipped = bytearray(good)
        flipped[chance.randrange(1000, len(good) - 3000)] ^= 1 << chance.randrange(8)
        files.append(bytes(flipped))
    for content in files:
        (folder / "bad.ckpt").write_bytes(content)
        ended = firstlight(folder, "test", "--ckpt_path", "bad.ckpt")
        yield "damaged checkpoint", short(ended.text, ended.status) or ("" if "bad.ckpt" in ended.text else ended.text)


def disasters(place):
    """Numbers, disks and folders fail; runs start together."""
    flags = [*tiny("autograd_cubic"), EVERY3]
    for do in ("nan", "full", "block"):
        for step in (4, 7, 13, 20):
            folder = place.fresh()
            ended = firstlight(folder, *flags, fault={"do": do, "step": step})
            yield f"{do} at a step", short(ended.text, ended.status) or broken_checkpoints(folder)
    for _ in range(10):
        folder = place.fresh()
        waits = [start(folder, *flags) for _ in range(2)]
        ends = [wait() for wait in waits]
        runs = len(list(folder.glob("lightning_logs/*/*/run.json")))
        good = runs == 2 and not any(end.status for end in ends)
        yield "two at once", "" if good else "".join(end.text[-300:] for end in ends)


def own_data(place, count=None, seed=0):
    """Runs on data sets of a user's own are killed before each step, and go on with other numbers of workers."""
    flags = ["fit", *OWN_MODEL.split(), "--trainer.max_epochs=3", "--checkpoint.every_n_steps=2", "--pictures=none"]
    cases, chance = [*product((1, 2), ("Points", "Drawn"), WORKERS)], random.Random(seed)
    if count and count < len(cases):
        cases = chance.sample(cases, count)
    for number, data, before in cases:
        group = [*flags, f"--data={data}", f"--trainer.devices={number}"]
        run = partial(together, processes=number, **OWN) if number > 1 else _alone
        name = f"own data{', augmented' * (data == 'Drawn')}, {before} workers, {number} processes"
        reference = place.fresh()
        if failed := [end.text for end in run(reference, *group) if end.status]:
            raise RuntimeError(f"{name} fails without a fault:\n{failed[0]}")
        expected = left_behind(reference)
        steps = range(expected["last"]["global_step"])
        for step in chance.sample(steps, min(math.ceil(count / len(cases)), len(steps))) if count else steps:
            folder, fault = place.fresh(), {"do": "SIGKILL", "step": step, "rank": step % number}
            killed = run(folder, *group, f"--data.num_workers={before}", fault=fault)
            resumed = run(folder, "fit", "--resume", f"--data.num_workers={WORKERS[step % 3]}")
            wrong = "" if all(end.status for end in killed) else "the fault did not end the run"
            wrong += "".join(end.text[-300:] for end in resumed if end.status)
            yield (
                name,
                wrong
                or ", ".join(
                    [each for each in differences(expected, left_behind(folder)) if "num_workers" not in each][:3]
                ),
            )


def _alone(*args, **how):
    return [firstlight(*args, **how, **OWN)]


def named(group):
    return group.__name__.replace("_", "-")


def no_options(group):
    """Return a group that takes the options of the command, and needs none."""
    return update_wrapper(lambda place, **_: group(place), group)


OF_FILES = (files, full_disk, power)
GROUPS = (
    *map(no_options, (kills, regroupings, processes, signals, saving, damage, disasters)),
    own_data,
    *OF_FILES,
    trust,
    fuzz,
)


def main():
    parser = ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(named(group) for group in GROUPS))
    parser.add_argument("--count", type=int, help="how many of a group that can be sampled, about")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what is drawn at random")
    args = parser.parse_args()
    if unknown := {*args.groups} - {named(group) for group in GROUPS}:
        parser.error(f"no group {', '.join(unknown)}")
    groups = [group for group in GROUPS if not args.groups or named(group) in args.groups]
    if {*groups} & {*OF_FILES} and not restart_with_library():
        print("left out, as they need Linux and a C compiler: " + ", ".join(named(group) for group in OF_FILES))
        groups = [group for group in groups if group not in OF_FILES]
    tried, lost, begin = Counter(), Counter(), time.monotonic()
    print(f"seed {args.seed}", flush=True)
    torch.set_num_threads(1)  # a fork of a process with OpenMP's threads would wait for them for ever
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a resumed run's curves come again, in another file
    with tempfile.TemporaryDirectory() as folder:
        for group in groups:
            before, since = (tried.total(), lost.total()), time.monotonic()
            for fault, reason in group(Place(Path(folder, group.__name__)), count=args.count, seed=args.seed):
                tried[fault] += 1
                lost[fault] += bool(reason)
                if reason:
                    print(f"LOST {fault}: {reason}", flush=True)
            count, gone = tried.total() - before[0], lost.total() - before[1]
            print(f"{named(group)}: {count - gone} of {count} held, {time.monotonic() - since:.0f} s", flush=True)
    width = max(map(len, tried))
    print(f"{'fault':{width}}  tried  survived  lost")
    for fault, count in [*tried.items(), ("all", tried.total())]:
        gone = lost[fault] if fault in tried else lost.total()
        print(f"{fault:{width}}  {count:5}  {count - gone:8}  {gone:4}")
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(bool(lost.total()))


if __name__ == "__main__":
    main()
