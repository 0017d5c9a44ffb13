"""Workers of a sweep may die or be stopped: each trial is still run once, and no more than asked for."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from harness import firstlight, start

pytest.importorskip("optuna", reason="optuna is the extra sweep")

FOLDER = "lightning_logs/linear_regression_sweep"
SWEEP = (
    *("sweep", "--config", "linear_regression", "--sweep", "mine.yaml"),
    *("--data.num_examples=80", "--pictures=none", "--trainer.max_epochs=2", "--data.batch_size=20"),
)
RANGE = "search: {model.lr: {low: 0.001, high: 0.1, log: true}}\n"

ODD = """
import multiprocessing, os, signal, time
from pathlib import Path
from jsonargparse.typing import PositiveFloat
from firstlight import LinearRegression
from firstlight.engine.callbacks import StopSignals

class Odd(LinearRegression):
    def __init__(self, lr: PositiveFloat = 0.03, what: str = "nothing"):
        super().__init__(2, lr)
        self.save_hyperparameters()
        self.what = what

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        if self.current_epoch == 0:
            return
        if self.what == "raise":
            raise KeyError("odd")
        if self.what == "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        worker = multiprocessing.parent_process().pid
        if self.what == "worker killed" and not Path("killed").exists():
            Path("killed").touch()
            os.kill(worker, signal.SIGKILL)
            signal.pause()  # until this process is ended too
        if self.what == "Ctrl-C" and not Path("stopped").exists():
            Path("stopped").touch()
            os.killpg(os.getpgid(worker), signal.SIGINT)  # as a terminal does
            (signals,) = [each for each in self.trainer.callbacks if isinstance(each, StopSignals)]
            while not signals.received:  # until the worker has passed the signal on
                time.sleep(0.001)
"""

LOADS = """
from torch.utils.data import DataLoader, TensorDataset
from firstlight import Houses

class Loads(Houses):
    def train_dataloader(self):
        return DataLoader(TensorDataset(*(part.float() for part in self.train)), 20, num_workers=1)
"""


def table(folder, name=FOLDER):
    return list(csv.DictReader((folder / name / "sweep.csv").read_text().splitlines()))


def folders(folder):
    return list((folder / FOLDER).glob("version_*"))


def tried(text):
    return [int(number) for number in re.findall(r"^trial (\d+):", text, re.MULTILINE)]


@pytest.fixture
def odd(tmp_path):
    """Return a function that runs a sweep over faults of a model, in a process of its own."""
    (tmp_path / "odd.py").write_text(ODD)

    def run(*flags):
        search = "search: {model.what: {choices: [nothing, raise, be killed, worker killed, Ctrl-C]}}\n"
        (tmp_path / "mine.yaml").write_text(search)
        paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        how = {"PYTHONPATH": paths, "FIRSTLIGHT_PACKAGES": "odd"}
        return firstlight(tmp_path, *SWEEP, "--model=odd.Odd", *flags, real=True, **how)

    return run


@pytest.mark.slow
def test_dead_run_does_not_end_the_sweep_and_a_dead_worker_loses_only_its_trial(odd, tmp_path):
    killed = odd()
    assert killed.status == -signal.SIGKILL
    assert tried(killed.text) == [0, 1, 2]
    assert "trial 1: failed: KeyError: 'odd'" in killed.text
    assert "trial 2: failed: killed by SIGKILL, as when memory runs out" in killed.text
    assert "KeyError: 'odd'" in (tmp_path / FOLDER / "sweep.log").read_text()
    assert len(folders(tmp_path)) == 4

    stopped = odd()
    assert stopped.status == 128 + signal.SIGINT
    assert tried(stopped.text) == [3, 4]
    assert stopped.text.endswith("stopped by SIGINT; run the same command again to continue with 1 trial\n")
    assert "trial 4: stopped" in stopped.text

    assert tried(odd().text) == [4]
    assert tried(odd().text) == []
    rows = {row["model.what"]: row for row in table(tmp_path)}
    assert sorted(row["trial"] for row in rows.values()) == [*"01234"]
    for what in ("worker killed", "Ctrl-C"):  # without its fault, the same model as "nothing"
        assert (rows[what]["status"], rows[what]["loss/val"]) == ("finished", rows["nothing"]["loss/val"])
        run = tmp_path / "lightning_logs" / rows[what]["runs"]
        receipt = json.loads((run / "run.json").read_text())
        assert receipt["status"] == "finished"
        assert len(receipt["commands"]) == (2 if what == "Ctrl-C" else 1)  # it was resumed in its own folder
    assert len(folders(tmp_path)) == 5
    assert not [path for path in (tmp_path / FOLDER).iterdir() if re.fullmatch(r"\.sweep\.journal\.\w{8}", path.name)]


@pytest.mark.slow
def test_trials_may_load_data_in_processes_of_their_own(tmp_path):
    (tmp_path / "loads.py").write_text(LOADS)
    (tmp_path / "mine.yaml").write_text(f"trials: 2\n{RANGE}")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    how = {"PYTHONPATH": paths, "FIRSTLIGHT_PACKAGES": "loads"}
    ended = firstlight(tmp_path, *SWEEP, "--data=Loads", real=True, **how)
    assert ended.status == 0, ended.text
    assert [row["status"] for row in table(tmp_path)] == ["finished"] * 2


@pytest.mark.slow
def test_workers_that_start_together_share_the_trials(tmp_path):
    share(tmp_path)


@pytest.mark.slow
def test_workers_share_the_trials_of_a_database(tmp_path, postgresql):
    share(tmp_path, "--storage", postgresql)
    shutil.rmtree(tmp_path / "lightning_logs")  # as on another machine
    ended = firstlight(tmp_path, *SWEEP, "--storage", postgresql, real=True)
    assert (ended.status, tried(ended.text)) == (0, [])
    assert len(table(tmp_path)) == 6


@pytest.mark.slow
def test_trial_of_a_killed_worker_in_a_database_is_run_by_the_next(odd, tmp_path, postgresql):
    where = ("--storage", postgresql)
    assert odd(*where).status == -signal.SIGKILL
    assert tried(odd(*where).text) == [3, 4]
    assert tried(odd(*where).text) == [4]
    assert sorted(row["trial"] for row in table(tmp_path)) == [*"01234"]


def share(folder, *flags):
    """Let three workers share six trials, and check that each was run once."""
    (folder / "mine.yaml").write_text(f"trials: 6\n{RANGE}")
    workers = [start(folder, *SWEEP, *flags, real=True) for _ in range(3)]
    ended = [worker() for worker in workers]
    assert [end.status for end in ended] == [0] * 3, ended[0].text
    done = [tried(end.text) for end in ended]
    assert sorted(itertools.chain(*done)) == [*range(6)]
    rows = table(folder)
    assert sorted(int(row["trial"]) for row in rows) == [*range(6)]
    assert len({row["model.lr"] for row in rows}) == 6  # workers with one seed do not choose the same values
    assert len({row["runs"] for row in rows}) == len(folders(folder)) == 6


@pytest.fixture
def postgresql(tmp_path_factory):
    """Return the address of a PostgreSQL database for this test."""
    pytest.importorskip("psycopg", reason="psycopg is the extra sweep")
    programs = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ["PATH"].split(os.pathsep))]
    home = next((folder for folder in programs if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)
    if home is None:
        pytest.skip("there is no PostgreSQL")
    become = []
    folder = tmp_path_factory.mktemp("postgresql")
    if os.getuid() == 0:  # PostgreSQL does not run as root
        if not shutil.which("setpriv"):
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
        folder = Path(f"/tmp/firstlight-{os.getpid()}-{time.monotonic_ns()}")
        folder.mkdir()
        shutil.chown(folder, "nobody")
        become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = folder / "data", folder / "log"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"

    def run(*words):
        subprocess.run([*become, *words], check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run(home / "initdb", "-D", data, "-A", "trust", "-U", "me")
    run(home / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
    yield f"postgresql://me@127.0.0.1:{port}/postgres"
    run(home / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)
