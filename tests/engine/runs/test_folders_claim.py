"""Runs that start together get folders of their own."""

import multiprocessing
import sys

from firstlight.engine.runs.folders import claim_run_folder


def _claims(folder, names):
    for _ in range(20):
        names.put(claim_run_folder(folder, "mine").name)


def test_runs_that_start_together_get_folders_of_their_own(tmp_path):
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "fork")
    names = context.Queue()
    processes = [context.Process(target=_claims, args=(tmp_path, names)) for _ in range(4)]
    for process in processes:
        process.start()
    claimed = [names.get(timeout=600) for _ in range(80)]
    for process in processes:
        process.join()
    assert sorted(claimed) == sorted(f"mine/version_{number}" for number in range(80))
