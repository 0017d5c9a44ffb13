import subprocess
import sys
import warnings

import pytest

from firstlight.engine.streams import keep_streams, unnoticed_failure


def typed(words, redirected, folder):
    """Return how a shell's ``firstlight`` ended that needs no torch, and what it said on standard error."""
    line = f'"{sys.executable}" -m firstlight {words} {redirected}'
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=folder, stderr=subprocess.PIPE, check=False)
    return ended.returncode, ended.stderr.decode()


@pytest.mark.parametrize("redirected", [">&-", "<&- >&-", "| true", "| head -1 >/dev/null"])
def test_command_does_not_need_its_output_to_be_read(redirected, tmp_path):
    assert typed("--help", redirected, tmp_path) == (0, "")


def test_output_that_is_lost_is_an_error_in_a_line(tmp_path):
    full = (1, "error: [Errno 28] No space left on device: 'standard output'\n")
    assert typed("--help", "> /dev/full", tmp_path) == full
    assert typed("--help", "> /dev/full 2>&-", tmp_path) == (1, "")


def test_next_file_is_not_written_by_whoever_prints(tmp_path):
    code = "from firstlight.engine.streams import keep_streams as k; k(); file = open('a', 'w'); print('b')"
    line = f"\"{sys.executable}\" -c \"{code}; import os; os.system('echo c'); os.write(2, b'd')\" <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "a").read_text() == ""


def test_failure_of_a_thread_is_found(monkeypatch):
    code = """
import threading
from firstlight.engine.streams import keep_streams, unnoticed_failure
keep_streams()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise SystemExit(repr(unnoticed_failure()))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == "ZeroDivisionError('division by zero')\n"


def test_streams_of_a_program_around_it_are_left_to_it():
    before = sys.stdout, sys.stderr
    keep_streams()
    assert (sys.stdout, sys.stderr) == before
    assert unnoticed_failure() is None


def test_warning_is_a_line_and_names_only_places_in_code_of_the_user(tmp_path, monkeypatch, firstlight):
    (tmp_path / "odd_nets.py").write_text(
        "import warnings\nfrom firstlight import AutogradCubic\n"
        "class Odd(AutogradCubic):\n"
        "    def on_fit_start(self):\n"
        "        warnings.warn('odd\\n\x1b[31mweights')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "odd_nets")
    warnings.simplefilter("default")  # the tests make errors of them
    words = (
        "--model=Odd",
        "--data=Sine",
        "--data.num_points=30",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
    )
    lines = firstlight("fit", *words, "--trainer.precision=16-mixed").err.splitlines()
    assert [line.partition("AMP")[0] for line in lines] == [
        "warning: You passed `Trainer(accelerator='cpu', precision='16-mixed')` but ",
        f"warning: odd \\x1b[31mweights ({tmp_path}/odd_nets.py, line 5)",
    ]
