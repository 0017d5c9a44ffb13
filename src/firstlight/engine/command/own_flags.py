"""The flags that say which run, weights and configs are meant, or belong to one command: no settings of a run."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from firstlight.engine.program import CommandParser, expand_home
from firstlight.errors import UsageError

OWN_FLAGS = {
    "name": "Name of a new run; by default that of the first config.",
    "resume": "fit: resume a run in its folder (NAME, NAME/version_N or a folder; by default the latest).",
    "run": "validate, test, predict: the run whose best checkpoint to take (by default the latest that matches).",
    "ckpt_path": "Checkpoint to start from: a file, best or last of the run, or none.",
    "note": "fit: what to say of the run; runs shows it and finds it.",
    "output": "predict: file to write the predictions to, instead of predictions.csv in the run's folder.",
    "report": "validate, test: print the report too, which is always in the run's folder (report.md).",
    "allow_changed_data": "fit --resume: resume a run on other data than it was trained on.",
    "strict": "fit --resume: refuse to resume under other conditions (threads, versions, device, code).",
}
"""Flags that concern one command and are no settings of a run."""
SWITCHES = {flag: OWN_FLAGS[flag] for flag in ("allow_changed_data", "strict", "report")} | {
    "test": "fit: then test it."
}
"""Those that stand alone, and ``--test``, which is a section in configs."""
NO_SETTINGS = (*OWN_FLAGS, "config")
LATEST = "\0latest"
"""What ``--resume`` alone means; no word of a command line holds such a character, so no run has this name."""


def own_flags(stage: str, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags of ``OWN_FLAGS``, and all others; raise a ``UsageError`` for what does not go together."""
    parser = CommandParser(stage, add_help=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--resume", nargs="?", const=LATEST)
    for flag in SWITCHES:
        parser.add_argument(f"--{flag}", nargs="?", const="true", choices=["true", "false"])
    for flag in OWN_FLAGS.keys() - {"resume", *SWITCHES}:
        parser.add_argument(f"--{flag}")
    own, flags = parser.parse_known_args(words)
    for flag, value in vars(own).items():
        if value == "" or (flag == "config" and "" in value):
            raise UsageError(f"--{flag} is empty: name one, or leave it out")
    if own.resume and own.resume.startswith("-"):  # to argparse, a flag with a space in its value is no flag
        own.resume, flags = LATEST, [own.resume, *flags]
    hints = {"run": "; to resume a run: fit --resume RUN", "resume": f"; to choose a run: {stage} --run RUN"}
    for flag, about in {**OWN_FLAGS, **SWITCHES}.items():
        owners = re.match(r"(?:(?:fit|validate|test|predict)(?:, | --resume)?)+(?=: )", about)
        if getattr(own, flag) and owners and stage not in re.split(r", | ", owners[0]):
            raise UsageError(f"--{flag} belongs to {owners[0]}{hints.get(flag, '')}")
    if own.output and Path(expand_home(own.output)).is_dir():
        raise UsageError(f"--output {own.output}: this is a folder, not a file")
    if own.resume and own.name:
        raise UsageError("--name is for a new run; with --resume a run keeps its folder and its name")
    return own, flags
