"""Verbs that need no torch."""

import sys

from firstlight.cli.configs import find_config, known
from firstlight.errors import UsageError
from firstlight.runs import LOGS

__all__ = ["configs", "tensorboard"]


def configs(args: list[str]) -> None:
    """List the configs and presets, a line each: the name, and what the config's first line says."""
    if args:
        raise UsageError(f"firstlight configs takes no arguments, got {args[0]!r}")
    names = known()
    width = max(map(len, names))
    for name in names:
        first = find_config(name).read_text().partition("\n")[0]
        print(f"{name:{width}}  {first.removeprefix('#').strip()}")


def tensorboard(args: list[str]) -> None:
    """Open TensorBoard's server over the runs, on this machine's own address only."""
    from tensorboard import main as program  # noqa: PLC0415  # slow to import

    sys.argv = ["tensorboard", *([] if any(arg.startswith("--logdir") for arg in args) else ["--logdir", LOGS]), *args]
    program.run_main()
