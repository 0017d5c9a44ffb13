"""Rank and number of processes follow from environment variables."""

import pytest

from firstlight.engine import processes

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
SRUN = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "mlp", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}
NAMES = (
    *TORCHRUN,
    *SRUN,
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "SLURM_ARRAY_JOB_ID",
)


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
        ({"LOCAL_RANK": "1"}, False, True),
        ({"NODE_RANK": "1"}, False, False),  # Lightning, on the second of two machines
        ({"NODE_RANK": "1", "LOCAL_RANK": "1"}, False, True),
        ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, True, False),
        ({**TORCHRUN, "RANK": "1", "LOCAL_RANK": "1"}, False, False),
        ({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"}, False, False),
        ({**SRUN, "SLURM_PROCID": "0"}, True, False),
        ({**SRUN, "SLURM_PROCID": "5"}, False, False),
        ({**SRUN, "SLURM_JOB_NAME": "bash", "SLURM_PROCID": "5"}, True, False),  # a shell in a job
        ({**SRUN, "SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False, True),  # Lightning, within a job
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


@pytest.mark.parametrize(
    ("environment", "job", "was_requeued"),
    [
        ({}, None, False),
        ({"SLURM_RESTART_COUNT": "1"}, None, False),
        (SRUN, "7", False),
        ({**SRUN, "SLURM_RESTART_COUNT": "0"}, "7", False),
        ({**SRUN, "SLURM_RESTART_COUNT": "2"}, "7", True),
        ({**SRUN, "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "3"}, "5_3", False),
    ],
)
def test_slurm_job_and_its_restarts_are_known(environment, job, was_requeued, environ):
    environ(environment)
    assert (processes.slurm_job_id(), processes.was_slurm_job_requeued()) == (job, was_requeued)


@pytest.mark.parametrize("number", ["", "7; rm", "all"])
def test_job_without_a_number_is_not_requeued(number, environ):
    environ({**SRUN, "SLURM_JOB_ID": number})
    assert not processes.requeue_slurm_job()
