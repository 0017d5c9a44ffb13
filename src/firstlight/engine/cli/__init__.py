"""The command line: what needs no torch answers at once, the rest goes to LightningCLI."""

import atexit
import contextlib
import gc
import os
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from typing import NoReturn

from firstlight import __version__
from firstlight.engine.cli.help import help_asked, short_help
from firstlight.engine.processes import was_started_by_first_process
from firstlight.engine.program import PACKAGES, program
from firstlight.errors import FirstlightError, UsageError, suggestion

__all__ = ["main"]

HELP = """\
usage: firstlight VERB [--config NAME ...] [--KEY VALUE ...]

Train, test and look at the documented models.

  fit          train:                    firstlight fit --config mlp
  validate     score validation data:    firstlight validate --config mlp
  test         score test data:          firstlight test --run mlp/version_0
  predict      write predictions:        firstlight predict --config mlp
  runs         list the runs, or compare two:   firstlight runs diff mlp/version_0 mlp/version_1
  sweep        search settings, on any number of machines:       firstlight sweep --config mlp --sweep mlp
  reproduce    run a run again: are the scores the same to the bit?
  export       write a model file:       firstlight export mlp --format onnx
  tensorboard  show the curves of all runs in a browser
  configs      list the configs and presets that --config takes by name
  new          begin a project of your own: a model, data, a config, tests
  check        do all configs run? One batch of each stage, nothing written:   firstlight check my.yaml
  describe     a model's formula, layers, first values and arguments:          firstlight describe mlp
  completion   print a script for the shell's TAB key:                         firstlight completion bash

Evaluation takes the best checkpoint of the latest run that matches. A run that was stopped or killed goes on
with: firstlight fit --resume. Every setting of a config is a flag too
(--trainer.max_epochs 3, --model.lr 0.1); flags win over configs, later configs over earlier ones.

  firstlight VERB --help         what people set, with examples; --help=all: all settings
  firstlight fit --config mlp --print_config     the whole configuration, to look at or to keep
  firstlight --version
"""
PARENT = os.getppid()  # as long as it lives: an orphan gets another
TRAINER_VERBS = ("fit", "validate", "test", "predict")
QUICK_VERBS = ("configs", "runs", "tensorboard")
TORCH_VERBS = ("check", "describe", "reproduce", "completion", "export", "sweep")  # each in a file of its name
VERBS = (*TRAINER_VERBS, *QUICK_VERBS, *TORCH_VERBS, "new")


def main(package: str | None = None) -> None:
    """Run the command line; it ends the process with 0, 1 (a run failed), 2 (a usage error) or 128 + signal.

    Args:
        package: Package of a project that is built on firstlight; configs may name its classes.
    """
    if package:
        os.environ[PACKAGES] = ",".join(filter(None, [package, os.environ.get(PACKAGES)]))
    verb, *rest = sys.argv[1:] or ["--help"]
    try:
        _dispatch(verb, rest)
    except FirstlightError as error:
        _end(error, error.exit_status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read our output has seen enough
        sys.exit(141)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        _end(error, 1)
    except KeyboardInterrupt:
        _exit(130)
    except SystemExit as error:
        if str(error) and not str(error).isdigit():
            print(error, file=sys.stderr)  # a signal stopped the run: how to go on
        _exit(error.code)
    except Exception:
        traceback.print_exc()
        print("error: this is a bug, in firstlight or in a class that the config names", file=sys.stderr)
        _exit(1)


def _dispatch(verb: str, rest: list[str]) -> None:
    if verb in ("-h", "--help", "help"):
        print(HELP.replace("firstlight", program()), end="")
    elif verb in ("-V", "--version"):
        print(f"firstlight {__version__}" if program() == "firstlight" else f"{program()} (firstlight {__version__})")
    elif verb in QUICK_VERBS:
        from firstlight.engine.cli import verbs  # noqa: PLC0415  # it needs yaml, and help needs nothing

        getattr(verbs, verb)(rest)
    elif verb in TRAINER_VERBS and help_asked(rest) == "short":
        print(short_help(verb), end="")
    elif verb in TRAINER_VERBS:
        with _imports():
            from firstlight.engine.command.command import run  # noqa: PLC0415  # it needs torch, and nothing else does
        run(verb, ["--help"] if help_asked(rest) else rest)
    elif verb in TORCH_VERBS:
        with _imports():
            module = import_module(f"firstlight.engine.cli.{verb}")
        getattr(module, verb)(rest)
    elif verb == "new":
        from firstlight.engine.cli.new import new  # noqa: PLC0415  # it needs yaml

        new(rest)
    else:
        raise UsageError(f"no verb {verb!r}{suggestion(verb, VERBS, 'verbs')}")


@contextlib.contextmanager
def _imports() -> Iterator[None]:
    """Import without collecting garbage: torch makes a great many objects, and they all stay."""
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else Triton complains at the end that its objects were never freed
        gc.enable()


def _end(error: Exception, status: int) -> NoReturn:
    """Print an error that its reader can mend, and end."""
    if os.environ.get("FIRSTLIGHT_DEBUG"):
        traceback.print_exc()
    print(f"error: {error}", file=sys.stderr)
    _exit(status)


def _exit(status: str | int | None) -> NoReturn:
    """End; a process that another one started waits for that one to end first.

    Where several processes stop together, the first would be killed by its own watch over the others
    if one of them ended before it, and its exit status would be lost.
    """
    if was_started_by_first_process():
        deadline = time.monotonic() + 20
        while os.getppid() == PARENT and time.monotonic() < deadline:
            time.sleep(0.02)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)  # at once: taking torch apart takes a second
    sys.exit(status)
