"""A signal ends a run at the next step boundary, with a checkpoint, and says how to go on."""

import json
import signal
from pathlib import Path

import pytest
from harness import firstlight, last_step, the_run, tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CUBIC = tiny("dynamic_polynomial")
ALL = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"]


def status_of(name):
    return 128 + getattr(signal, name)


def advice(name, step):
    return f"stopped by {name} after step {step}; go on with: firstlight fit --resume dynamic_polynomial/version_0\n"


def receipt(folder):
    return json.loads((the_run(folder) / "run.json").read_text())


@pytest.mark.parametrize("name", ALL)
def test_signal_in_a_step_ends_the_run_after_it(name, tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": name, "step": 5})
    assert ended.status == status_of(name)
    assert ended.text.endswith(advice(name, 6))
    assert last_step(tmp_path) == 6
    assert (receipt(tmp_path)["status"], receipt(tmp_path)["step"]) == ("stopped", 6)


@pytest.mark.parametrize(
    ("where", "step", "flags"),
    [
        ("step", 7, []),
        pytest.param(
            "step", 3, ["--trainer.val_check_interval=0.5", "--checkpoint.every_n_steps=2"], marks=pytest.mark.slow
        ),
        pytest.param("step", 6, ["--trainer.accumulate_grad_batches=3"], marks=pytest.mark.slow),
        ("validation", 16, []),
    ],
)
def test_run_that_was_stopped_goes_on_to_the_same_bits(where, step, flags, unbroken, tmp_path):
    differences = unbroken([*CUBIC, *flags])
    folder = tmp_path / "stopped"
    assert firstlight(folder, *CUBIC, *flags, fault={"do": "SIGTERM", "where": where, "step": step}).status == 143
    assert firstlight(folder, "fit", "--resume").status == 0
    assert differences(folder) == []
    assert receipt(folder)["status"] == "finished"


def test_run_that_was_stopped_in_its_first_epoch_still_gets_its_charts(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, "--trainer.val_check_interval=0.5", fault={"do": "SIGTERM", "step": 5})
    assert (ended.status, receipt(tmp_path)["epochs"]) == (143, 0)
    assert firstlight(tmp_path, "fit", "--resume").status == 0
    events = EventAccumulator(str(the_run(tmp_path))).Reload()
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_signal_before_the_first_step_ends_the_run_there(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "SIGTERM", "where": "sanity"})
    assert ended.status == 143
    assert ended.text.endswith(advice("SIGTERM", 0))


def test_signal_while_the_run_is_set_up_ends_it_and_leaves_nothing(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "SIGTERM", "where": "setup"})
    assert ended.status == 143
    assert ended.text.endswith("stopped by SIGTERM\n")
    assert not list(Path(tmp_path, "lightning_logs").glob("*/*/checkpoints/*"))


def test_signal_ends_a_run_that_keeps_no_checkpoints(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, "--trainer.enable_checkpointing=false", fault={"do": "SIGTERM", "step": 5})
    assert ended.status == 143
    assert receipt(tmp_path)["step"] < 24


@pytest.mark.parametrize("command", ["test", "predict"])
def test_signal_ends_an_evaluation_at_once(command, tmp_path):
    firstlight(tmp_path, *CUBIC)
    ended = firstlight(tmp_path, command, fault={"do": "SIGINT", "where": command})
    assert ended.status == 130
    assert ended.text.endswith("stopped by SIGINT\n")
    assert not (the_run(tmp_path) / f"{command}.json").exists()
    assert not (the_run(tmp_path) / "predictions.csv").exists()


def test_second_signal_ends_the_run_at_once(tmp_path):
    ended = firstlight(tmp_path, *CUBIC, fault={"do": "SIGTERM SIGINT", "step": 5})
    assert ended.status == 130
    assert last_step(tmp_path) == 0


@pytest.mark.slow
def test_two_processes_stop_together_when_one_is_told(tmp_path):
    flags = [*tiny("manual_cubic"), "--config", "presets/ddp", "--pictures=none"]
    ended = firstlight(tmp_path, *flags, real=True, fault={"do": "SIGTERM", "step": 5, "rank": 1})
    assert ended.status == 143
    assert ended.text.count("stopped by SIGTERM after step 8") == 1
    assert last_step(tmp_path) == 8
