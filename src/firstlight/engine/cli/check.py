"""``firstlight check``: build configs and run a batch of each stage, without training, writing or downloading."""

import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.model_helpers import is_overridden

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks import refuse_no_step
from firstlight.engine.callbacks.optimizer import refuse_short_schedules
from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.schema import print_schema
from firstlight.engine.command.command import Command, prepared
from firstlight.engine.command.configs import config_names
from firstlight.engine.command.failures import own_line, refuse_unlogged
from firstlight.engine.program import program
from firstlight.engine.quiet import silenced
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import DataError, FirstlightError, UsageError

SCHEMA = (
    "print a JSON Schema of a config; keep it in a file, and an editor with yaml-language-server completes and checks "
    "configs that begin with: # yaml-language-server: $schema=FILE"
)
BASE = "linear_regression"
"""The config that presets are checked on top of: it is small, and its data are computed."""
STAGES = (
    ("val_dataloader", "validation_step", "validate"),
    ("test_dataloader", "test_step", "test"),
    ("predict_dataloader", "predict_step", "predict"),
)
HERE = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}


def check(words: list[str]) -> dict[str, Any] | None:
    """Say of each config, in a line, whether it runs; the exit status is 2 if one does not."""
    parser = command_parser("check")
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="default: all in configs/; settings come after")
    parser.add_argument("--all", action="store_true", help="also the configs and presets of firstlight")
    parser.add_argument("--schema", action="store_true", help=SCHEMA)
    if words and re.match(r"(-c|--config)(=|$)", words[0]):  # as fit takes it
        words = [*words[0].split("=", 1)[1:], *words[1:]]
    _, others = parser.parse_known_args(words)
    start = words.index(others[0]) if others else len(words)
    options, flags = parser.parse_args(words[:start]), words[start:]
    if flags and not options.configs:
        parser.error(f"a config comes first, as in: {program()} check mlp --model.lr 0.2 (got {' '.join(flags)})")
    if options.schema:
        print_schema()
        return None
    rows = []
    names = options.configs or config_names(own=not options.all)
    for name in names:
        verdict, reason = _try(name, flags)
        rows.append({"config": name, "verdict": verdict.rstrip(":"), "reason": reason or None})
        print(f"{verdict:9}{name}" + (f": {reason}" if reason else "").replace("\n", "\n" + 9 * " "), flush=True)
    if not (options.configs or options.all) and names != config_names():
        print(f"these are the project's own; all: {program()} check --all")
    return {"exit": 2 * any(row["verdict"] == "error" for row in rows), "configs": rows}


def _try(name: str, settings: list[str]) -> tuple[str, str]:
    """Return ``ok``, ``skipped`` or ``error:``, and why; settings that were typed go on top of the config."""
    configs = [BASE, name] if Path(name).parent.name == "presets" else [name]
    flags = [*(f"--config={config}" for config in configs), *settings]
    with silenced():
        try:
            with prepared("fit", flags) as command:
                return "ok", _run_stages(command)
        except DataError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            return "skipped" if missing else "error:", str(error)
        except FirstlightError as error:
            return "error:", str(error)
        except Exception as error:  # a class of the user's own may raise anything
            if os.environ.get("FIRSTLIGHT_DEBUG"):
                traceback.print_exc(file=sys.__stderr__)
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = own_line(error)[2:-1] or f"{relative_to_cwd(Path(last.filename))}, line {last.lineno}"
            return "error:", f"{repr(error)[:200]} in {where}"


def _run_stages(command: Command) -> str:
    """Run a batch of each stage on the CPU, with data that are there already; return what was done otherwise."""
    trainer = command.config.trainer
    if trainer.max_epochs is None and trainer.max_steps == -1 and trainer.max_time is None:
        raise UsageError("trainer.max_epochs is not set, nor max_steps or max_time: Lightning trains 1000 epochs")
    command.run = None  # nothing is written
    command.build(**HERE, fast_dev_run=True, barebones=False)
    remark = ""
    try:
        planned = command.make_trainer()
    except UsageError as error:
        if not re.search(r"No supported gpu backend found|can not run on your system", str(error)):
            raise
        remark = f"on the CPU ({error})"
        planned = command.make_trainer(**HERE)
    model, data = command.model, command.data
    for part in (model, data):
        if part:  # it may download, and remove what is looked at when it has been trained on
            vars(part).update(prepare_data=lambda: None, teardown=lambda *_, **__: None)
    command.trainer.fit(model, datamodule=data)
    refuse_no_step(command.trainer)
    refuse_unlogged(command.trainer, command.trainer.callback_metrics)  # with fast_dev_run, callbacks do not look
    if isinstance(data, DataModule) and (data.batch_size or 0) > (count := data.split_size(data.train)):
        raise UsageError(f"data.batch_size is {data.batch_size}, more than the {count} to train on")
    internals.plan(planned, model, data)
    internals.load_data(planned)  # as a whole run would: it compares limits with sizes
    refuse_short_schedules(planned)
    for loader, step, stage in STAGES:
        if is_overridden(loader, data or model) and is_overridden(step, model):
            getattr(command.trainer, stage)(model, datamodule=data)
    return remark
