"""Which of a run's processes this is, and how many there are, before there is a Trainer to say it.

Three things start several processes: Lightning itself (``trainer.devices``), ``torchrun``, and SLURM's ``srun``. Each
tells them who they are in the environment. Nothing here needs torch.
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
    """Return whether this is the first of a run's processes: the one that claims a folder, writes and prints."""
    env = os.environ
    if "RANK" in env:  # torchrun numbers the processes of all nodes
        return env["RANK"] == "0"
    if "LOCAL_RANK" in env or "NODE_RANK" in env:  # Lightning those of each
        return env.get("LOCAL_RANK", "0") == env.get("NODE_RANK", "0") == "0"
    return not _in_slurm() or env.get("SLURM_PROCID", "0") == "0"


def was_started_by_first_process() -> bool:
    """Return whether the first process of this node started this one, as Lightning has it."""
    return "RANK" not in os.environ and int(os.environ.get("LOCAL_RANK", "0")) > 0


def devices_and_nodes() -> dict[str, int]:
    """Return the Trainer's ``devices`` and ``num_nodes`` as ``torchrun`` or ``srun`` set them; nothing without them."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        devices = int(env["LOCAL_WORLD_SIZE"])
        return {"devices": devices, "num_nodes": int(env["WORLD_SIZE"]) // devices}
    if _in_slurm():
        nodes = int(env.get("SLURM_NNODES", "1"))
        return {"devices": int(env["SLURM_NTASKS"]) // nodes, "num_nodes": nodes}
    return {}


def slurm_job_id() -> str | None:
    """Return the number of the SLURM job that this process is a task of."""
    if not _in_slurm():
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def was_slurm_job_requeued() -> bool:
    """Return whether the SLURM job of this process has run before."""
    return slurm_job_id() is not None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


def requeue_slurm_job() -> bool:
    """Have SLURM start this process's job once more; return whether it will."""
    number = slurm_job_id()
    if number is None or not re.fullmatch(r"\d+(_\d+)?", number):
        return False
    try:
        return subprocess.run(["scontrol", "requeue", number], check=False).returncode == 0  # noqa: S603, S607
    except OSError:
        return False


def _in_slurm() -> bool:
    """Return whether ``srun`` started this process, by the rule that Lightning goes by."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")
