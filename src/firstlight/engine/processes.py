"""The rank of this process and the number of processes, before there is a Trainer, and the signals that stop a run.

Lightning itself (``trainer.devices``), ``torchrun`` and SLURM's ``srun`` start several processes, and set environment
variables with their ranks. Nothing here needs torch.
"""

import os
import re
import signal
import subprocess

__all__ = [
    "STOP_SIGNALS",
    "devices_and_nodes",
    "is_first_process",
    "requeue_slurm_job",
    "slurm_job_id",
    "was_slurm_job_requeued",
    "was_started_by_first_process",
]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals that end a run with a checkpoint."""


def is_first_process() -> bool:
    """Return whether this is a run's process of rank 0, which claims a folder, writes files and prints."""
    env = os.environ
    if "RANK" in env:  # torchrun: the rank among all nodes
        return env["RANK"] == "0"
    if "LOCAL_RANK" in env or "NODE_RANK" in env:  # Lightning: the rank on this node
        return env.get("LOCAL_RANK", "0") == env.get("NODE_RANK", "0") == "0"
    return not _in_slurm() or env.get("SLURM_PROCID", "0") == "0"


def was_started_by_first_process() -> bool:
    """Return whether the process with local rank 0 started this one, as Lightning does."""
    return "RANK" not in os.environ and int(os.environ.get("LOCAL_RANK", "0")) > 0


def devices_and_nodes() -> dict[str, int]:
    """Return the Trainer's ``devices`` and ``num_nodes`` under ``torchrun`` or ``srun``, else an empty dict."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        devices = int(env["LOCAL_WORLD_SIZE"])
        return {"devices": devices, "num_nodes": int(env["WORLD_SIZE"]) // devices}
    if _in_slurm():
        nodes = int(env.get("SLURM_NNODES", "1"))
        return {"devices": int(env["SLURM_NTASKS"]) // nodes, "num_nodes": nodes}
    return {}


def slurm_job_id() -> str | None:
    """Return the id of this process's SLURM job, if it has one."""
    if not _in_slurm():
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def was_slurm_job_requeued() -> bool:
    """Return whether SLURM has requeued the job of this process."""
    return slurm_job_id() is not None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


def requeue_slurm_job() -> bool:
    """Requeue the SLURM job of this process, and return whether that worked."""
    job = slurm_job_id()
    if job is None or not re.fullmatch(r"\d+(_\d+)?", job):
        return False
    try:
        return subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0  # noqa: S603, S607
    except OSError:
        return False


def _in_slurm() -> bool:
    """Return whether ``srun`` started this process, by Lightning's rule."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")
