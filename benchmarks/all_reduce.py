"""Measure an all-reduce between two processes over loopback: ``python -m benchmarks.all_reduce SIZE``."""

import statistics
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def work(rank: int, size: int) -> None:
    """Reduce a gradient of this size repeatedly, and print the median of the times."""
    dist.init_process_group("gloo", init_method=f"file://{Path('meeting').absolute()}", rank=rank, world_size=2)
    gradient, times = torch.zeros(size), []
    for _ in range(300):
        start = time.perf_counter()
        dist.all_reduce(gradient)
        times.append(time.perf_counter() - start)
    if rank == 0:
        print(statistics.median(times))
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(work, (int(sys.argv[1]),), nprocs=2, start_method="fork")
