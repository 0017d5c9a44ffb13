"""A run in two processes is the run of one: one folder, the same steps, the same scores, and either goes on with it."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import differences, firstlight, last_step, left_behind, parts_left, the_run, tiny, together
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.conftest import draw_little, write_fashion_mnist

FLAGS = [*tiny("mlp", images="../fashion"), "--checkpoint.every_n_steps=3"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Return the folder of an unbroken run in one process with pictures, beside its images."""
    place = tmp_path_factory.mktemp("unbroken")
    write_fashion_mnist(place / "fashion")
    with pytest.MonkeyPatch.context() as patch:
        draw_little(patch)
        assert firstlight(place / "alone", *FLAGS).status == 0
    return place


@pytest.fixture
def alone(unbroken, tmp_path):
    """Return the folder of that run, for this test alone."""
    shutil.copytree(unbroken, tmp_path, dirs_exist_ok=True)
    return tmp_path / "alone"


OWN = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

class Own(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        return self.weight * batch.mean()

    def validation_step(self, batch, batch_idx):
        self.log("loss/val", batch.mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())

class Numbers(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.arange(4.0), batch_size=1)

    val_dataloader = train_dataloader
"""


def said(text):
    """Return the lines that a process printed, but for the one on waiting for a process that starts later."""
    return [line for line in text.splitlines() if not line.startswith("waiting for all 2 processes of this run to ")]


def pictures(folder):
    """Return the names of a run's pictures."""
    events = EventAccumulator(str(the_run(folder)))
    events.Reload()
    return events.Tags()["images"]


def close(one, other):
    """Return whether two runs have the same weights and curves, but for the order in which numbers were added up."""
    a, b = left_behind(one), left_behind(other)
    torch.testing.assert_close(a["last"]["state_dict"], b["last"]["state_dict"], rtol=1e-4, atol=1e-6)
    assert a["curves"].keys() == b["curves"].keys()
    for tag in a["curves"]:
        assert [step for step, _ in a["curves"][tag]] == [step for step, _ in b["curves"][tag]]
        assert [value for _, value in a["curves"][tag]] == pytest.approx(
            [value for _, value in b["curves"][tag]], rel=1e-4
        )
    return True


@pytest.mark.pictures
def test_two_processes_leave_the_one_run_of_one_process(alone, tmp_path, monkeypatch):
    draw_little(monkeypatch)
    first, second = together(tmp_path / "two", *FLAGS)
    assert (first.status, second.status) == (0, 0), first.text + second.text
    assert said(second.text) == []
    assert "arning" not in first.text
    names = [sorted(path.name for path in the_run(folder).rglob("*")) for folder in (alone, tmp_path / "two")]
    one, two = ([re.sub(r"tfevents\.\d.*\d", "tfevents", name) for name in each] for each in names)
    assert one == two
    assert last_step(alone) == last_step(tmp_path / "two")
    assert close(alone, tmp_path / "two")
    assert (
        pictures(alone)
        == pictures(tmp_path / "two")
        == ["confusion matrix", "mistakes", "learning curves", "first layer"]
    )


@pytest.mark.slow
def test_model_that_logs_its_share_has_the_scores_of_all_examples(tmp_path):
    tmp_path.joinpath("own.py").write_text(OWN)
    words = ("fit", "--model=own.Own", "--data=own.Numbers", "--trainer.max_epochs=1", "--trainer.accelerator=cpu")
    own = {"FIRSTLIGHT_PACKAGES": "own", "before": lambda: sys.path.insert(0, str(tmp_path))}
    first, second = together(tmp_path, *words, **own)
    assert (first.status, second.status) == (0, 0), first.text + second.text
    assert "loss/val 1.5 " in first.text
    assert "best:    loss/val 1.5 in epoch 1" in first.text


@pytest.mark.slow
def test_evaluation_by_two_counts_every_example_once(alone):
    run = f"--run={the_run(alone)}"
    tables = []
    for go in (firstlight, lambda *words: together(*words)[0]):
        for command in ("validate", "test", "predict"):
            assert go(alone, command, run).status == 0
        scores = [(the_run(alone) / f"{command}.json").read_text() for command in ("validate", "test")]
        numbers = [float(number) for text in scores for number in re.findall(r": ([0-9.e-]+)", text)]
        tables.append((numbers, (the_run(alone) / "predictions.csv").read_text().splitlines()))
    (one, rows), (two, other_rows) = tables
    assert len(one) > 4  # losses, and the reports
    assert one == pytest.approx(two, rel=1e-6)
    assert len(rows) == len(other_rows)
    for row, other in zip(rows[1:], other_rows[1:], strict=True):
        left, right = row.split(","), other.split(",")
        assert left[:-1] == right[:-1]
        assert float(left[-1]) == pytest.approx(float(right[-1]), rel=1e-5)


@pytest.mark.slow
def test_killed_run_of_one_process_goes_on_in_two(alone, tmp_path):
    assert firstlight(tmp_path / "killed", *FLAGS, fault={"do": "SIGKILL", "step": 7}).status == -signal.SIGKILL
    assert last_step(tmp_path / "killed") == 6
    for ended in together(tmp_path / "killed", "fit", "--resume"):
        assert ended.status == 0, ended.text
    assert close(alone, tmp_path / "killed")


@pytest.mark.slow
def test_run_of_two_processes_that_cannot_be_resumed_is_not_advised_to_be(tmp_path):
    pruned = ["--trainer.callbacks=ModelPruning", "--trainer.callbacks.pruning_fn=l1_unstructured"]
    ended = together(tmp_path / "killed", *FLAGS, *pruned, fault={"do": "SIGKILL", "step": 7, "rank": 0})
    assert ended[1].status == 1
    assert "another process of this run ended; a run with ModelPruning cannot be resumed: " in ended[1].text


@pytest.mark.parametrize(("rank", "after"), [(0, 1), pytest.param(1, 2, marks=pytest.mark.slow)])
def test_when_one_process_is_killed_the_other_ends_and_any_number_goes_on(rank, after, alone, tmp_path):
    folder = tmp_path / "killed"
    ended = together(folder, *FLAGS, fault={"do": "SIGKILL", "step": 7, "rank": rank})
    victim, survivor = ended[rank], ended[1 - rank]
    assert victim.status == -signal.SIGKILL
    assert survivor.status == 1
    name = f"{the_run(folder).parent.name}/version_0"
    assert (
        f"error: another process of this run ended; go on from its last checkpoint: firstlight fit --resume {name}"
        in survivor.text
    )
    assert last_step(folder) == 6
    assert parts_left(folder) == []
    for ended in together(folder, "fit", "--resume", processes=after):
        assert ended.status == 0, ended.text
    assert close(alone, folder)


@pytest.fixture
def slurm(tmp_path):
    """Return the environment of a SLURM job's only task, and where its ``scontrol`` writes what it was told."""
    told, scontrol = tmp_path / "told", tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "mlp", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
    task = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1"}
    return {**job, **task, "PATH": f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}"}, told


@pytest.mark.pictures
def test_slurm_job_that_runs_out_of_time_is_queued_again_and_goes_on_to_the_same_bits(
    alone, slurm, tmp_path, monkeypatch
):
    draw_little(monkeypatch)
    environment, told = slurm
    folder = tmp_path / "job"
    ended = firstlight(folder, *FLAGS, fault={"do": "SIGUSR1", "step": 7}, **environment)
    assert ended.status == 128 + signal.SIGUSR1
    assert re.search(r"stopped by SIGUSR1 after step \d+; its job is queued again and will go on", ended.text)
    assert told.read_text() == "requeue 7\n"
    again = firstlight(folder, *FLAGS, **environment, SLURM_RESTART_COUNT="1")
    assert again.status == 0, again.text
    assert list(differences(left_behind(alone), left_behind(folder))) == []


@pytest.mark.slow
def test_another_slurm_job_begins_a_run_of_its_own(slurm, tmp_path, fashion_root):
    environment, told = slurm
    for job in ("7", "8"):
        assert firstlight(tmp_path / "job", *FLAGS, **{**environment, "SLURM_JOB_ID": job}).status == 0
    assert len(list(Path(tmp_path, "job").glob("lightning_logs/mlp/version_*"))) == 2
    assert not told.exists()


SHARDED = ["--config", "presets/fsdp", "--trainer.accelerator=cpu"]
MOMENTUM = ["--optimizer=SGD", "--optimizer.lr=0.1", "--optimizer.momentum=0.9"]


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 2])
def test_sharded_run_is_the_run_of_one_process_and_either_goes_on_with_it(after, tmp_path, fashion_root):
    assert firstlight(tmp_path / "alone", *FLAGS, *MOMENTUM).status == 0
    killed = {"do": "SIGKILL", "step": 7, "rank": "all"}
    together(tmp_path / "killed", *FLAGS, *MOMENTUM, *SHARDED, fault=killed)
    assert last_step(tmp_path / "killed") == 6
    how = ["--trainer.strategy=auto"] if after == 1 else []
    for ended in together(tmp_path / "killed", "fit", "--resume", *how, processes=after):
        assert ended.status == 0, ended.text
    assert close(tmp_path / "alone", tmp_path / "killed")


@pytest.mark.slow
def test_layer_that_is_all_of_a_model_is_sharded_once(tmp_path):
    for ended in together(tmp_path / "houses", *tiny("linear_regression"), *SHARDED):
        assert ended.status == 0, ended.text


def test_model_with_parameters_in_no_layer_is_not_sharded(tmp_path):
    first, _ = together(tmp_path / "cubic", *tiny("autograd_cubic"), *SHARDED)
    assert first.status == 2
    assert "error: AutogradCubic.coefficients is in no layer, so it cannot be sharded: use ddp" in first.text


@pytest.mark.slow
def test_two_nodes_of_torchrun_make_one_run(alone, tmp_path):
    folder = tmp_path / "nodes"
    folder.mkdir()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        where = ["--master-addr=127.0.0.1", f"--master-port={door.getsockname()[1]}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", *where]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # what the program prints lies in files: the launchers warn of each other when the first of them leaves
    logs = [tmp_path / "logs" / str(rank) for rank in range(2)]
    nodes = [
        subprocess.Popen(
            [*torchrun, f"--node-rank={rank}", f"--log-dir={log}", "--redirects=3", "-m", "firstlight", *FLAGS],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, log in enumerate(logs)
    ]
    launchers = [node.communicate(timeout=600)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], launchers
    first, second = (
        "".join(path.read_text() for stream in ("stdout", "stderr") for path in log.rglob(f"{stream}.log"))
        for log in logs
    )
    assert "epoch 3/3" in first
    assert said(second) == []
    assert close(alone, folder)


@pytest.mark.slow
def test_preset_for_two_processes_makes_one_run_that_ends_when_one_of_them_is_killed(alone, tmp_path):
    flags = [*FLAGS, "--config", "presets/ddp", "--pictures=none"]
    fault = {"do": "SIGKILL", "step": 7, "rank": 1}
    ended = firstlight(tmp_path / "killed", *flags, real=True, fault=fault)
    assert ended.status not in (0, None)
    assert last_step(tmp_path / "killed") == 6
    ended = firstlight(tmp_path / "killed", "fit", "--resume", real=True)
    assert ended.status == 0, ended.text
    assert ended.text.count("epoch 3/3") == 1
    assert close(alone, tmp_path / "killed")
