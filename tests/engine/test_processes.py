"""Who a process is, by what those that start processes say in the environment."""

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
def told(monkeypatch):
    """Return a function that makes this process one of several."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return lambda environment: [monkeypatch.setenv(name, value) for name, value in environment.items()]


@pytest.mark.parametrize(
    ("environment", "is_first", "was_started_by_first_process"),
    [
        ({}, True, False),
        ({"LOCAL_RANK": "0"}, True, False),
        ({"LOCAL_RANK": "1"}, False, True),
        ({"NODE_RANK": "1"}, False, False),  # Lightning's own, on the second of two machines
        ({"NODE_RANK": "1", "LOCAL_RANK": "1"}, False, True),
        ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, True, False),
        ({**TORCHRUN, "RANK": "1", "LOCAL_RANK": "1"}, False, False),
        ({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"}, False, False),
        ({**SRUN, "SLURM_PROCID": "0"}, True, False),
        ({**SRUN, "SLURM_PROCID": "5"}, False, False),
        ({**SRUN, "SLURM_JOB_NAME": "bash", "SLURM_PROCID": "5"}, True, False),  # a shell in a job
        ({**SRUN, "SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False, True),  # Lightning's own processes, within a job
    ],
)
def test_one_process_is_the_first(environment, is_first, was_started_by_first_process, told):
    told(environment)
    assert (processes.is_first_process(), processes.was_started_by_first_process()) == (
        is_first,
        was_started_by_first_process,
    )


@pytest.mark.parametrize(
    ("environment", "layout"),
    [
        ({}, {}),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, {}),  # Lightning's own: the config says how many
        (TORCHRUN, {"devices": 4, "num_nodes": 2}),
        (SRUN, {"devices": 4, "num_nodes": 2}),
        ({**SRUN, "SLURM_JOB_NAME": "interactive"}, {}),
        ({**SRUN, **TORCHRUN, "WORLD_SIZE": "4"}, {"devices": 4, "num_nodes": 1}),  # torchrun within a job
    ],
)
def test_who_starts_processes_says_how_many(environment, layout, told):
    told(environment)
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
def test_task_of_a_job_knows_which(environment, job, was_requeued, told):
    told(environment)
    assert (processes.slurm_job_id(), processes.was_slurm_job_requeued()) == (job, was_requeued)


@pytest.mark.parametrize("number", ["", "7; rm", "all"])
def test_job_of_no_number_is_not_queued_again(number, told):
    told({**SRUN, "SLURM_JOB_ID": number})
    assert not processes.requeue_slurm_job()
