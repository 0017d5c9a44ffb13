"""The rank of this process and the number of processes, before there is a Trainer, and the signals that stop a run.

Lightning itself (``trainer.devices``), ``torchrun`` and SLURM's ``srun`` start several processes, and set environment
variables with their ranks. Nothing here needs torch.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firstlight.errors import UsageError

STOP_SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")]
"""Signals that end a run with a checkpoint; Windows has the first two."""

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES")
NUMBERS = (*RANKS, *SIZES, "SLURM_LOCALID", "SLURM_NODEID", "MASTER_PORT", "SLURM_RESTART_COUNT")
"""Variables that Lightning reads as numbers, some of them when it is imported."""
OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


@contextlib.contextmanager
def announce_wait(text: str, seconds: float = 1, key: str = "Ctrl-C") -> Iterator[None]:
    """Say what this process waits for, and which key ends that, unless it is only for a moment."""
    line = f"waiting for {text}; {key} ends that"
    timer = threading.Timer(seconds, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def announce_meeting(trainer: Any) -> None:
    """Let a Trainer say that it waits for the other processes of its run, if one does not come."""
    connect = trainer.strategy.setup_environment

    def meet() -> None:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        with announce_wait(
            f"all {trainer.world_size} processes of this run to meet at {where}", seconds=10, key="Ctrl-\\"
        ):
            connect()  # in C++, which leaves no time to handle Ctrl-C

    if trainer.world_size > 1:
        trainer.strategy.setup_environment = meet


def check_environment() -> None:
    """Raise a ``UsageError`` if a variable about processes is no number, or torchrun's are not complete."""
    for name in NUMBERS:
        value = os.environ.get(name, "1")
        if not value.isdecimal() or (name in SIZES and int(value) == 0):
            raise UsageError(f"{name} is {value!r} in the environment: expected a whole number; unset it")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        for name in OF_TORCHRUN:
            if name not in os.environ:
                raise UsageError(f"TORCHELASTIC_RUN_ID is set in the environment, but {name} is not: unset it")


def check_processes(world_size: int, rank: int) -> None:
    """Raise if the variables about processes do not fit the Trainer's: one may be left over from another program.

    The run would write beside its folder, or wait for processes that nobody started.
    """
    env, in_slurm, in_torchrun = os.environ, _in_slurm(), "TORCHELASTIC_RUN_ID" in os.environ
    expected = {"RANK": rank, "WORLD_SIZE": world_size}
    if in_slurm:
        expected["SLURM_PROCID"] = rank
    if world_size == 1:
        expected |= dict.fromkeys(RANKS, 0)
    count = "one process" if world_size == 1 else f"{world_size} processes"
    for name, number in expected.items():
        if int(env.get(name, number)) != number:
            raise UsageError(
                f"{name} is {env[name]} in the environment, but this run has {count}: unset it (or start with torchrun)"
            )
    if world_size == 1 or in_torchrun:
        return
    if in_slurm:
        if "SLURM_STEP_ID" not in env:
            raise UsageError(f"SLURM_NTASKS is {env['SLURM_NTASKS']}, but srun did not start this: start with srun")
    elif "LOCAL_RANK" not in env and "RANK" in env:  # Lightning starts the others, which would all have this rank
        raise UsageError(f"RANK is {env['RANK']} in the environment, but this run starts its {count} itself: unset it")
    elif "LOCAL_RANK" in env and "MASTER_PORT" not in env:  # Lightning waits for processes that somebody else starts
        raise UsageError(f"LOCAL_RANK is set in the environment, but MASTER_PORT, which {count} need, is not: unset it")


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
    return "RANK" not in os.environ and "MASTER_PORT" in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"


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


def is_alive(pid: int) -> bool:
    """Return whether there is a process of that number on this machine; on Windows, where that would end it, True."""
    if sys.platform == "win32":
        return True
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def boot_id() -> str | None:
    """Return what tells this boot of this machine from all others, on Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def slurm_job_id() -> str | None:
    """Return the id of this process's SLURM job, if it has one."""
    if not _in_slurm():
        return None
    if {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"} <= os.environ.keys():
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
