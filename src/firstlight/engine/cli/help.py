"""The short help of ``fit``, ``validate``, ``test`` and ``predict``: what people set, each with an example."""

from itertools import pairwise

__all__ = ["EXAMPLES", "help_asked", "short_help"]

FIT = {
    "--config mlp": "a config, by name or file; a second one goes on top: --config presets/limit",
    "--name wide": "what the run is called, if not like its config",
    "--model.lr 0.1": "an argument of the model: firstlight describe mlp lists them",
    "--data.batch_size 64": "an argument of the data: --data.help FashionMNIST lists them",
    "--trainer.max_epochs 20": "how long; also max_steps, max_time",
    "--trainer.accelerator cpu": "where: cpu, gpu, auto; on how many: --trainer.devices 2",
    "--trainer.precision bf16-mixed": "how exactly: 32, 64, 16-mixed",
    "--optimizer AdamW --optimizer.lr 1e-3": "another optimizer, with its own step size",
    "--lr_scheduler StepLR --lr_scheduler.step_size 5": "change the step size on the way",
    "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor=loss/val": "one more callback",
    "--seed_everything 1": "other random numbers",
    "--checkpoint.every_n_steps 500": "write last.ckpt more often than once an epoch",
    "--resume": "go on with the latest run; with another one: --resume mlp/version_0",
    "--print_config": "show the whole configuration, and do nothing",
}
EVALUATION = {
    "--config mlp": "the latest run of this name",
    "--run mlp/version_0": "this run",
    "--ckpt_path last": "not its best checkpoint but the last; or any file; none: untrained",
    "--data.batch_size 512": "an argument of the data",
    "--trainer.accelerator cpu": "where: cpu, gpu, auto",
    "--trainer.precision bf16-mixed": "how exactly: 32, 64, 16-mixed",
    "--print_config": "show the whole configuration, and do nothing",
}
EXAMPLES = {"fit": FIT} | dict.fromkeys(("validate", "test", "predict"), EVALUATION)

BEST = "Without --ckpt_path it takes the best checkpoint of the latest run that matches, and says which."
WHAT = {
    "fit": "Train a model. The run is one folder, lightning_logs/NAME/version_N.",
    "validate": f"Score the validation data; the scores stay in the run's folder, as validate.json.\n{BEST}",
    "test": f"Score the test data; the scores stay in the run's folder, as test.json.\n{BEST}",
    "predict": f"Write predictions for the test data into the run's folder, as predictions.csv.\n{BEST}",
}
FORM = """\
usage: firstlight {verb} [--config NAME ...] [--KEY VALUE ...]

{what}

{examples}

Flags win over configs, later configs over earlier ones.
All settings: firstlight {verb} --help=all; those of a class: firstlight {verb} --model.help MLP
"""
WIDTH = 32  # of the column of flags; where they are longer, the text is on a line of its own


def short_help(verb: str) -> str:
    """Return the help of a verb, on one screen."""
    lines = [
        f"  {flags:{WIDTH}}{text}" if len(flags) < WIDTH else f"  {flags}\n{'':{WIDTH + 2}}{text}"
        for flags, text in EXAMPLES[verb].items()
    ]
    return FORM.format(verb=verb, what=WHAT[verb], examples="\n".join(lines))


def help_asked(words: list[str]) -> str | None:
    """Return which help the words after a verb ask for: ``short``, ``all``, or none."""
    for word, following in pairwise([*words, ""]):
        if word in ("-h", "--help") or word.startswith("--help="):
            return "all" if "all" in (word.partition("=")[2], following) else "short"
    return None
