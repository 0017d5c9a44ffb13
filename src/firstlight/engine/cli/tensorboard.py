"""``firstlight tensorboard``: TensorBoard over the runs."""

import contextlib
import io
import re
import sys
from pathlib import Path

from firstlight.engine.cli.help import command_parser
from firstlight.engine.program import program
from firstlight.engine.runs.folders import LOGS
from firstlight.errors import UsageError


def tensorboard(words: list[str]) -> None:
    """Start TensorBoard's server over the runs, on this machine only; raise a ``UsageError`` if there are none."""
    parser = command_parser("tensorboard")
    parser.epilog = "Other options are passed to TensorBoard: --port 6007."
    parser.add_argument("--logdir", type=Path, default=Path(LOGS), help=f"folder that holds the runs (default: {LOGS})")
    options, others = parser.parse_known_args(words)
    if not options.logdir.is_dir():
        raise UsageError(f"no folder {options.logdir}: {program()} fit --config NAME makes {LOGS} where it is run")
    import tensorboard.program as library  # noqa: PLC0415  # slow to import
    from tensorboard.plugins.base_plugin import FlagsError  # noqa: PLC0415

    library._DATA_SERVER_ADVISORY_MESSAGE = ""  # noqa: SLF001  # "experimental fast data loading"
    server = library.TensorBoard()
    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise):
            server.configure(["tensorboard", "--logdir", str(options.logdir), *others])
    except FlagsError as error:
        raise UsageError(f"tensorboard: {error}") from error
    except SystemExit as end:
        if end.code:  # of argparse: how to use it, and then the error
            line = noise.getvalue().strip().rpartition("\n")[2]
            raise UsageError(re.sub(r"error: |(?<=invalid )\S+ (?=value)", "", line)) from end
        raise
    sys.exit(1 if server.main() else 0)
