"""What the TAB key completes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

COMPLETED = {
    "firstlight desc": ["describe"],
    "firstlight fit -c neural": ["neural_network", "neural_network_best", "neural_network_documented"],
    "firstlight fit --config = presets/d": ["presets/ddp", "presets/debug", "presets/deterministic"],
    "firstlight fit --config mine": ["mine"],
    "firstlight test --run ml": ["mlp", "mlp/version_0"],
    "firstlight fit --trainer.max": ["--trainer.max_epochs", "--trainer.max_steps", "--trainer.max_time"],
    "firstlight fit --model.hid": ["--model.hidden_dims"],
    "firstlight fit --model Neu": ["NeuralNetwork", "Neuron"],
    "firstlight fit --model.activation ": ["gelu", "relu", "sigmoid", "tanh"],
    "firstlight fit --pictures = f": ["few"],
    "firstlight fit --trainer.accelerator ": ["auto", "cpu", "gpu"],
    "firstlight fit --checkpoint.mode ": ["max", "min"],
    "firstlight export mlp --format o": ["onnx"],
    "firstlight pictures mlp --format ": ["png", "svg"],
    "firstlight export ml": ["mlp", "mlp/version_0"],
    "firstlight describe Neur": ["NeuralNetwork", "Neuron"],
    "firstlight sweep --sweep m": ["mlp"],
    "firstlight sweep --tri": ["--trials"],
    "firstlight pictures ml": ["mlp", "mlp/version_0"],
    "firstlight export --": ["--format", "--help", "--json", "--last", "--output", "--root"],
    "firstlight sweep --st": ["--storage", "--strict"],
    "firstlight fit --tes": ["--test"],
    "firstlight runs --g": ["--group"],
    "firstlight new --data ": ["images", "loader", "memory", "table"],
    "firstlight check presets/d": ["presets/ddp", "presets/debug", "presets/deterministic"],
    "firstlight check lin": ["linear_regression", "linear_regression_sine"],
}
PRESS_TAB = """\
source ./tab.sh
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_firstlight firstlight "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_tab_completes_what_is_typed(did):
    Path("tab.sh").write_text(did("completion", "bash"))
    for file in ("configs/mine.yaml", "lightning_logs/mlp/version_0/config.yaml"):
        Path(file).parent.mkdir(parents=True)
        Path(file).touch()
    words = [typed + " ''" * typed.endswith(" ") for typed in COMPLETED]
    program = "\n".join(f"({PRESS_TAB % typed})" for typed in words)
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == list(COMPLETED.values())


def test_completion_for_zsh_is_that_for_bash_in_zsh(did, complaint):
    start, _, script = did("completion", "zsh").partition("# Completion of")
    assert "bashcompinit" in start
    assert script.replace("zsh", "bash", 2) == did("completion", "bash").partition("# Completion of")[2]
    assert complaint("completion", "fish")[0] == 2
