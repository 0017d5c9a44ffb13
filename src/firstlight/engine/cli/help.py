"""The texts of ``--help``: of the program, and of ``fit``, ``validate``, ``test`` and ``predict``."""

import argparse
import re
from pathlib import Path

from firstlight.engine.cli.commands import COMMANDS, About
from firstlight.engine.program import CommandParser, program

OVERVIEW = """\
usage: {program} COMMAND [--config NAME ...] [--KEY VALUE ...]

{about}

{commands}

Evaluation takes the best checkpoint of the latest run that matches. To resume a run that was stopped or killed:
{program} fit --resume. Every setting of a config is a flag too (--trainer.max_epochs 3, --model.lr 0.1); flags win
over configs, later configs over earlier ones.

  {program} COMMAND --help      what people set, with examples; --help=all: all settings
  {program} fit --config mlp --print_config     the whole configuration, to look at or to keep
  {program} COMMAND --json      one JSON object on standard output, for scripts
  {program} --version
"""
FIT = {
    "--config mlp": "a config, by name or file; a second one goes on top: --config presets/limit",
    "--name wide": "run name (default: the config's)",
    "--note wider": "a note on the run, which runs shows and searches",
    "--model.lr 0.1": "an argument of the model: {program} describe mlp lists them",
    "--data.batch_size 64": "an argument of the data: --data.help FashionMNIST lists them",
    "--trainer.max_epochs 20": "how long; also max_steps, max_time",
    "--trainer.accelerator cpu": "device: cpu, gpu, auto; how many: --trainer.devices 2",
    "--trainer.precision bf16-mixed": "numeric precision: 32, 64, 16-mixed, bf16-mixed",
    "--optimizer AdamW --optimizer.lr 1e-3": "another optimizer, with its own learning rate",
    "--lr_scheduler WarmupCosineLR": "a schedule of the learning rate, as long as the run",
    "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor=loss/val": "one more callback",
    "--logger csv": "where the curves go: tensorboard, csv, wandb, mlflow, none",
    "--seed_everything 1": "other random numbers",
    "--checkpoint.every_n_steps 500": "write last.ckpt more often than once an epoch",
    "--resume": "resume the latest run; another one: --resume mlp/version_0",
    "--test": "then test the best checkpoint",
    "--print_config": "print the whole configuration and do nothing else",
}
EVALUATION = {
    "--config mlp": "the latest run of this name",
    "--run mlp/version_0": "this run",
    "--report": "print the report too: classes and calibration, or errors",
    "--ckpt_path last": "its last checkpoint instead of its best; or any file; none: untrained",
    "--data.batch_size 512": "an argument of the data",
    **{flags: FIT[flags] for flags in ("--trainer.accelerator cpu", "--trainer.precision bf16-mixed")},
    "--print_config": FIT["--print_config"],
}
FILES = {
    "picture.png folder/ points.csv": "predict for these, instead of the test split",
    "--output FILE": "write the predictions there",
}
EXAMPLES = {
    "fit": FIT,
    "validate": EVALUATION,
    "test": EVALUATION,
    "predict": FILES | {flags: text for flags, text in EVALUATION.items() if flags != "--report"},
}

BEST = "Without --ckpt_path it takes the best checkpoint of the latest run that matches, and prints which."
DETAILS = {
    "fit": "The run is one folder, lightning_logs/NAME/version_N.",
    "validate": f"The scores go to validate.json and validate-report.md in the run's folder.\n{BEST}",
    "test": f"The scores go to test.json and report.md in the run's folder.\n{BEST}",
    "predict": f"They are written to predictions.csv in the run's folder.\n{BEST}",
}
STAGE = """\
usage: {program} {command} {files}[--config NAME ...] [--KEY VALUE ...]

{summary} {details}

{examples}

Flags win over configs, later configs over earlier ones.
All settings: {program} {command} --help=all; those of a class: {program} {command} --model.help MLP
"""
WIDTH = 32
"""Width of the column of flags; where they are longer, the text is on a line of its own."""


def overview() -> str:
    """Return the help of the program: all commands."""
    width = max(len(about.summary) for about in COMMANDS.values())
    lines = [
        f"  {name:13}{about.summary:{width}}{f'   {program()} {about.example}' * bool(about.example)}".rstrip()
        for name, about in COMMANDS.items()
    ]
    return _of_project(OVERVIEW.format(program=program(), about=_about(), commands="\n".join(lines)))


def short_help(command: str) -> str:
    """Return the help of ``fit``, ``validate``, ``test`` or ``predict``, on one screen."""
    lines = [
        f"  {flags:{WIDTH}}{text}" if len(flags) < WIDTH else f"  {flags}\n{'':{WIDTH + 2}}{text}"
        for flags, text in (map(_of_project, pair) for pair in EXAMPLES[command].items())
    ]
    examples = "\n".join(lines).format(program=program())
    words = {"command": command, "summary": _sentence(COMMANDS[command]), "details": DETAILS[command]}
    files = "[FILE ...] " * (command == "predict")
    return STAGE.format(program=program(), examples=examples, files=files, **words)


def _of_project(text: str) -> str:
    """Let the examples name a project's own config, the first that it has."""
    own = sorted(Path("configs").glob("*.yaml")) if program() != "firstlight" else []
    config = own[0].stem if own else "mlp"
    return text if config == "mlp" else re.sub(r"\bmlp\b", config, text.replace("--sweep mlp", "--sweep FILE"))


def _about() -> str:
    """Return what the program is for: the description of a project, if it has one."""
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415  # slow to import

    try:
        summary = metadata(program())["Summary"] if program() != "firstlight" else None
    except PackageNotFoundError:
        summary = None
    return f"{program()}: {summary}. Built on firstlight." if summary else "Train, test and look at documented models."


def help_asked(words: list[str]) -> str | None:
    """Return which help the words after a command ask for: ``short``, ``all``, or none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", nargs="?", const="short")
    asked = parser.parse_known_args(words)[0].help
    return asked and ("all" if asked == "all" else "short")


def command_parser(command: str, *, has_run: bool = False, has_root: bool = False) -> CommandParser:
    """Return a parser for a command's own flags, with a run or ``--root`` among them; its help says what it does."""
    parser = CommandParser(command, description=_sentence(COMMANDS[command]))
    if has_run:
        about = "NAME (the latest), NAME/version_N, a folder, or a checkpoint; by default the latest run"
        parser.add_argument("run", nargs="?", help=about)
    if has_root:
        parser.add_argument("--root", type=Path, default=Path(), help="folder of lightning_logs (default: here)")
    return parser


def _sentence(about: About) -> str:
    return f"{about.summary[0].upper()}{about.summary[1:]}."
