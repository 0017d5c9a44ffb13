"""Record the golden losses and the flags anew, after a change that was meant to change them:  python -m tests.golden"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from tests.conftest import write_fashion_mnist
from tests.golden.record import COMMAND_LINE, LOSSES, ask_for_help, flags, losses, machine, own_flags

from firstlight.engine.cli.commands import COMMANDS
from firstlight.engine.command.configs import config_names, find_config


def main():
    """Train each config for a few steps, ask each command for its help, and write down what comes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "1000", "PYTHONWARNINGS": "ignore"}
    recorded = {}
    with tempfile.TemporaryDirectory() as folder:
        write_fashion_mnist(Path(folder, "fashion"))
        for config in (name for name in config_names() if "/" not in name):
            data_class = yaml.safe_load(find_config(config).read_text())["data"]["class_path"]
            command = [sys.executable, "-m", "firstlight", "fit", *flags(config, data_class, f"{folder}/fashion")]
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            recorded[config] = losses(Path(folder, "lightning_logs", config, "version_0"))
    help_flags = {}
    for command in COMMANDS:
        typed = [sys.executable, "-m", "firstlight", *ask_for_help(command)]
        help_flags[command] = own_flags(subprocess.check_output(typed, env=environment, text=True))
    COMMAND_LINE.write_text(json.dumps(help_flags, indent=1, sort_keys=True) + "\n")
    LOSSES.write_text(json.dumps({"machine": machine(), "losses": recorded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
