"""Random settings and random stops, against three oracles: the unbroken run, single updates, the best score again."""

import json
import random
import shutil

from tests.faults.harness import differences, firstlight, left_behind, the_run, tiny
from tests.faults.place import OWN, short
from tests.faults.trust import CALLBACKS, FLAGS, REFUSED, SCHEDULES, chosen

CLASSIFIER = ["--model=MLP", "--model.num_features=4", "--model.hidden_dims=[8]", "--model.num_classes=2"]
KINDS = {
    "cubic": tiny("autograd_cubic"),
    "random control flow": tiny("dynamic_polynomial"),
    "houses": [*FLAGS[:4], "--trainer.accelerator=cpu"],
    "images": tiny("mlp", "../fashion"),
    "dropout": tiny("neural_network_best", "../fashion"),
    "points": ["fit", *CLASSIFIER, "--data=Points", "--trainer.accelerator=cpu"],
    "augmented points": ["fit", *CLASSIFIER, "--data=Drawn", "--trainer.accelerator=cpu"],
    "plain": ["fit", *CLASSIFIER, "--data=Plain", "--trainer.accelerator=cpu"],
    "state of its own": ["fit", *CLASSIFIER, "--data=States", "--trainer.accelerator=cpu"],
}
SETTINGS = {
    "--checkpoint.every_n_steps": (1, 2, 3, 7),
    "--trainer.accumulate_grad_batches": (2, 3),
    "--trainer.gradient_clip_val": (0.05, 1.0),
    "--trainer.gradient_clip_algorithm": ("norm", "value"),
    "--trainer.precision": ("64-true", "bf16-mixed", "bf16-true"),
    "--trainer.val_check_interval": (0.5, 2, 3),
    "--trainer.check_val_every_n_epoch": (2, "null"),
    "--trainer.limit_train_batches": (3, 0.7),
    "--trainer.limit_val_batches": (1, 0.5),
    "--trainer.log_every_n_steps": (1, 2),
    "--trainer.max_steps": (11,),
    "--trainer.num_sanity_val_steps": (0, 1),
    "--trainer.reload_dataloaders_every_n_epochs": (1,),
    "--seed_everything": (1, 12345),
}
DATA = {"--data.batch_size": (4, 7, 16), "--data.fold": (0, 1), "--data.num_workers": (1, 2)}
OPTIMIZERS = {
    "SGD": "lr=0.01, momentum=0.9, nesterov=true",
    "Adam": "lr=0.01, amsgrad=true",
    "AdamW": "lr=0.01",
    "Adagrad": "lr=0.01",
    "RMSprop": "lr=0.001, momentum=0.5",
    "NAdam": "lr=0.01",
    "RAdam": "lr=0.01",
}
AT_ONCE = (1, 2, 3, 7, 100)


def drawn(chance):
    """Return flags of a run, without how many updates it takes at once."""
    kind = chance.choice(list(KINDS))
    flags = [flag for flag in KINDS[kind] if not flag.startswith(("--trainer.max_epochs", "--updates"))]
    flags += [f"--trainer.max_epochs={chance.randint(1, 4)}", "--pictures=none"]
    for name, values in SETTINGS.items():
        if chance.random() < 0.25:
            flags.append(f"{name}={chance.choice(values)}")
    names = {"plain": ["--data.num_workers"], "state of its own": []}.get(kind, list(DATA))
    if kind not in ("points", "augmented points", "plain"):
        names = [name for name in names if name != "--data.num_workers"]
    for name in names:
        if chance.random() < 0.3:
            flags = [flag for flag in flags if not flag.startswith(name)]
            flags.append(f"{name}={chance.choice(DATA[name])}")
    if kind != "dropout":
        has_optimizer = chance.random() < 0.5
        optimizer = chance.choice(list(OPTIMIZERS))
        schedule = chance.choice(list(SCHEDULES)) if chance.random() < 0.5 else ""
        if has_optimizer:
            flags += chosen("optimizer", optimizer, OPTIMIZERS[optimizer])
        flags += chosen("lr_scheduler", schedule, SCHEDULES[schedule])
    callbacks = [name for name in CALLBACKS if name not in (*REFUSED, "BackboneFinetuning" * (kind != "houses"))]
    callback = chance.choice(callbacks) if chance.random() < 0.3 else ""
    return flags + chosen("trainer.callbacks", callback, CALLBACKS[callback])


def fuzz(place, count=None, seed=0):
    """Runs with random settings are stopped at random moments."""
    for number in range(count or 200):
        chance = random.Random(f"{seed} {number}")
        flags, folder = drawn(chance), place.fresh()
        several, other = chance.choice(AT_ONCE), chance.choice(AT_ONCE)
        words = [*flags, f"--updates_per_batch={several}"]
        ended = firstlight(folder, *words, **OWN)
        if ended.status:  # such settings do not go together, which it must say
            wrong = short(ended.text, ended.status)
            yield "refused", f"{number}: {' '.join(words)}: {wrong}" if wrong else ""
            continue
        expected = left_behind(folder)
        oracles = {
            "best checkpoint scored again": best_scored_again(folder),
            "updates one by one": compare(place.fresh(), expected, [*flags, "--updates_per_batch=1"]),
            "stopped and resumed": stopped(place.fresh(), expected, words, chance, other),
        }
        for name, wrong in oracles.items():
            yield name, f"{number}: {' '.join(words)}: {wrong}" if wrong else ""
        shutil.rmtree(folder)


def compare(folder, expected, words):
    """Return in what a run differs from the one with the words in question."""
    ended = firstlight(folder, *words, **OWN)
    return f"exit {ended.status}: {ended.text[-300:]}" if ended.status else differing(expected, folder)


def differing(expected, folder):
    """Return in what a run differs, but for the batches of the validation before: each validation counts from zero."""
    counted = ".last.loops.fit_loop.epoch_loop.val_loop.batch_progress."
    found = [each for each in differences(expected, left_behind(folder)) if not each.startswith(counted)]
    return ", ".join(found[:3])


def stopped(folder, expected, words, chance, other):
    """Return in what a run that is stopped up to three times, and resumed with other updates at once, differs."""
    last, faults = expected["last"]["global_step"], []
    for step in sorted(chance.randrange(last) for _ in range(chance.randint(1, 3))):
        where = chance.choice(("step", "step", "step", "validation", "epoch", "save"))
        do = chance.choice(("SIGKILL", "SIGTERM")) if where != "save" else chance.choice(("cut", "written"))
        faults.append({"do": do, "where": where, "step": step})
    for fault in [*faults, None]:
        ended = firstlight(folder, *words, fault=fault, **OWN)
        if ended.status not in ((-9, 143, 0) if fault else (0,)):
            return f"{faults}: exit {ended.status}: {ended.text[-300:]}"
        if any(folder.glob("lightning_logs/*/*/checkpoints/last.ckpt")):
            words = ["fit", "--resume", f"--updates_per_batch={other}"]
        else:  # it was killed while it wrote the first one
            shutil.rmtree(folder / "lightning_logs")
    wrong = differing(expected, folder)
    return f"{faults}, then {other} at once: {wrong}" if wrong else ""


def best_scored_again(folder):
    """Return how the score of the best checkpoint differs from the recorded one, to the last bit."""
    run = the_run(folder)
    best = json.loads((run / "run.json").read_text())["best"]
    if best["score"] is None:
        return ""
    ended = firstlight(folder, "validate", "--ckpt_path=best", **OWN)
    if ended.status:
        return f"exit {ended.status}: {ended.text[-300:]}"
    found = json.loads((run / "validate.json").read_text()).get(best["name"])
    return "" if found == best["score"] else f"{best['name']}: {best['score']} when it was saved, {found} now"
