"""Rank and number of processes follow from environment variables."""

import io
import os
import subprocess
import sys
import threading

import pytest

from firstlight.engine import processes
from firstlight.errors import UsageError

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
SRUN = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "mlp", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}
NAMES = (
    *TORCHRUN,
    *SRUN,
    *processes.NUMBERS,
    "SLURM_STEP_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
)
CHILD = {"MASTER_PORT": "29500", "LOCAL_RANK": "1"}


@pytest.fixture
def environ(monkeypatch):
    """Return a function that sets only these environment variables."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return lambda environment: [monkeypatch.setenv(name, value) for name, value in environment.items()]


@pytest.mark.parametrize(
    ("environment", "is_first", "was_started_by_first_process"),
    [
        ({}, True, False),
        ({"LOCAL_RANK": "0"}, True, False),
        ({"LOCAL_RANK": "1"}, False, False),  # left over from something else
        (CHILD, False, True),
        ({"NODE_RANK": "1"}, False, False),  # Lightning, on the second of two machines
        ({"NODE_RANK": "1", **CHILD}, False, True),
        ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, True, False),
        ({**TORCHRUN, "RANK": "1", "LOCAL_RANK": "1"}, False, False),
        ({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"}, False, False),
        ({**SRUN, "SLURM_PROCID": "0"}, True, False),
        ({**SRUN, "SLURM_PROCID": "5"}, False, False),
        ({**SRUN, "SLURM_JOB_NAME": "bash", "SLURM_PROCID": "5"}, True, False),  # a shell in a job
        ({**SRUN, "SLURM_PROCID": "0", **CHILD}, False, True),  # Lightning, within a job
    ],
)
def test_one_process_is_the_first(environment, is_first, was_started_by_first_process, environ):
    environ(environment)
    assert (processes.is_first_process(), processes.was_started_by_first_process()) == (
        is_first,
        was_started_by_first_process,
    )


@pytest.mark.parametrize(
    ("environment", "layout"),
    [
        ({}, {}),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, {}),  # Lightning: the config sets the number
        (TORCHRUN, {"devices": 4, "num_nodes": 2}),
        (SRUN, {"devices": 4, "num_nodes": 2}),
        ({**SRUN, "SLURM_JOB_NAME": "interactive"}, {}),
        ({**SRUN, **TORCHRUN, "WORLD_SIZE": "4"}, {"devices": 4, "num_nodes": 1}),  # torchrun within a job
    ],
)
def test_number_of_processes_comes_from_the_launcher(environment, layout, environ):
    environ(environment)
    assert processes.devices_and_nodes() == layout


QUICK = ("--config", "autograd_cubic", "--trainer.max_epochs=1", "--data.repeats=2", "--pictures=none")


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"])
def test_rank_left_over_from_another_program_is_refused(name, environ, complaint, tmp_path):
    environ({name: "1"})
    for words in (["fit", *QUICK], ["test", *QUICK, "--ckpt_path", "none"]):
        status, message = complaint(*words)
        assert (status, message) == (
            2,
            f"{name} is 1 in the environment, but this run has one process: unset it (or start with torchrun)",
        )
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    ("environment", "devices", "expected"),
    [
        ({"WORLD_SIZE": "2"}, 1, "WORLD_SIZE is 2 in the environment, but this run has one process"),
        ({"WORLD_SIZE": "3"}, 2, "WORLD_SIZE is 3 in the environment, but this run has 2 processes"),
        ({"RANK": "0"}, 2, "RANK is 0 in the environment, but this run starts its 2 processes itself: unset it"),
        ({"LOCAL_RANK": "0"}, 2, "LOCAL_RANK is set in the environment, but MASTER_PORT, which 2"),
        ({"TORCHELASTIC_RUN_ID": "x"}, 1, "TORCHELASTIC_RUN_ID is set in the environment, but RANK is not: unset it"),
        ({"RANK": "abc"}, 1, "RANK is 'abc' in the environment: expected a whole number; unset it"),
        ({"LOCAL_RANK": "-1"}, 1, "LOCAL_RANK is '-1' in the environment: expected a whole number; unset it"),
        ({"SLURM_RESTART_COUNT": "x"}, 1, "SLURM_RESTART_COUNT is 'x' in the environment"),
        ({"SLURM_NNODES": "0"}, 1, "SLURM_NNODES is '0' in the environment"),
    ],
)
def test_processes_that_cannot_come_are_not_waited_for(environment, devices, expected, environ, complaint, tmp_path):
    environ(environment)
    status, message = complaint("fit", *QUICK, "--trainer.accelerator=cpu", "--trainer.devices", devices)
    assert status == 2
    assert message.startswith(expected)
    assert list(tmp_path.rglob("*.*")) == []


def test_tasks_that_srun_did_not_start_are_not_waited_for(environ):
    environ({**SRUN, "SLURM_PROCID": "0"})
    with pytest.raises(UsageError, match="start with srun"):
        processes.check_processes(8, 0)
    environ({"SLURM_STEP_ID": "0"})
    processes.check_processes(8, 0)


@pytest.mark.parametrize(
    ("environment", "world_size", "rank"),
    [
        ({}, 1, 0),
        ({}, 2, 0),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, 1, 0),
        ({**CHILD, "WORLD_SIZE": "2", "NODE_RANK": "0"}, 2, 1),
        ({**TORCHRUN, "RANK": "5", "LOCAL_RANK": "1", "GROUP_RANK": "1"}, 8, 5),
    ],
)
def test_processes_that_a_launcher_starts_are_accepted(environment, world_size, rank, environ):
    environ(environment)
    processes.check_processes(world_size, rank)


@pytest.mark.parametrize(
    ("environment", "job", "was_requeued"),
    [
        ({}, None, False),
        ({"SLURM_RESTART_COUNT": "1"}, None, False),
        (SRUN, "7", False),
        ({**SRUN, "SLURM_RESTART_COUNT": "0"}, "7", False),
        ({**SRUN, "SLURM_RESTART_COUNT": "2"}, "7", True),
        ({**SRUN, "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "3"}, "5_3", False),
        ({**SRUN, "SLURM_ARRAY_JOB_ID": "5"}, "7", False),
    ],
)
def test_slurm_job_and_its_restarts_are_known(environment, job, was_requeued, environ):
    environ(environment)
    assert (processes.slurm_job_id(), processes.was_slurm_job_requeued()) == (job, was_requeued)


@pytest.mark.parametrize("number", ["", "7; rm", "all"])
def test_job_without_a_number_is_not_requeued(number, environ):
    environ({**SRUN, "SLURM_JOB_ID": number})
    assert not processes.requeue_slurm_job()


def test_process_is_alive_until_it_has_ended():
    assert processes.is_alive(os.getpid())
    assert processes.is_alive(1)  # of another user, mostly
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not processes.is_alive(child.pid)
    assert not processes.is_alive(-1)


def test_what_is_waited_for_is_said_unless_it_comes_at_once(monkeypatch):
    said = threading.Event()
    monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
    monkeypatch.setattr(terminal, "flush", said.set, raising=False)
    with processes.announce_wait("the lock"):
        pass
    with processes.announce_wait("the other lock", seconds=0):
        assert said.wait(10)
    assert terminal.getvalue() == "waiting for the other lock; Ctrl-C ends that\n"
