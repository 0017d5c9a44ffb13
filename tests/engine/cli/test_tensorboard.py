"""What a run leaves for TensorBoard, and the command that opens it."""

import io
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tests.conftest import draw_little

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2")
RUN = "lightning_logs/autograd_cubic/version_0"


def tags(run=RUN):
    return {kind: found for kind, found in EventAccumulator(run).Reload().Tags().items() if found}


def learning_rate():
    content = EventAccumulator(f"{RUN}/scores").Reload().PluginTagToContent("hparams")["_hparams_/session_start_info"]
    return HParamsPluginData.FromString(content).session_start_info.hparams["lr"].number_value


@pytest.mark.pictures
def test_every_run_has_charts_a_row_and_pictures_without_a_setting(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    assert tags()["images"] == ["fit", "learning curves", "coefficients"]
    assert {*tags()["scalars"]} == {"loss/train", "loss/val"}
    did("test")
    assert tags(f"{RUN}/scores")["scalars"] == ["best", "test"]
    assert tags()["tensors"] == ["custom_scalars__config__"]
    assert learning_rate() == 1e-6
    assert not {"graph", "histograms"} & {*tags()}


def test_more_or_less_is_drawn_if_that_is_asked_for(did, monkeypatch):
    draw_little(monkeypatch)
    did("fit", *SMALL, "--trainer.max_epochs=1", "--pictures", "all")
    did("fit", *SMALL, "--trainer.max_epochs=1", "--pictures=none", "--name=bare")
    assert {"graph", "histograms", "images"} <= {*tags()}
    assert {*tags("lightning_logs/bare/version_0")} == {"scalars", "tensors"}


def test_row_of_a_resumed_run_has_the_learning_rate_that_was_typed_last(did):
    did("fit", *SMALL, "--trainer.max_epochs=1")
    did("fit", "--resume", "--trainer.max_epochs=2", "--model.lr=2e-6")
    assert learning_rate() == 2e-6
    (best,) = EventAccumulator(f"{RUN}/scores").Reload().Scalars("best")
    assert best.step == 4


def test_choice_of_pictures_is_one_of_three(complaint):
    status, message = complaint("fit", *SMALL, "--pictures=many")
    assert status == 2
    assert "pictures" in message


def test_tensorboard_says_where_there_is_nothing_to_show(complaint):
    assert complaint("tensorboard") == (
        2,
        "no folder lightning_logs: firstlight fit --config NAME makes lightning_logs where it is run",
    )
    assert complaint("tensorboard", "--logdir", "elsewhere")[1].startswith("no folder elsewhere: ")


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_tensorboard_opens_over_the_runs_and_gets_all_other_arguments(did, monkeypatch):
    from tensorboard.program import TensorBoard

    opened = []
    monkeypatch.setattr(TensorBoard, "main", lambda server: opened.append((server.flags.logdir, server.flags.port)))
    Path("lightning_logs").mkdir()
    Path("mine").mkdir()
    did("tensorboard", "--port", "7007")
    did("tensorboard", "--logdir=mine", "--port=7007")
    assert opened == [("lightning_logs", 7007), ("mine", 7007)]


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_tensorboard_starts_without_notes_on_its_insides(did, monkeypatch):
    import tensorboard.program as program  # noqa: PLR0402  # else a lazy module

    started = []
    monkeypatch.setattr(program, "_should_use_data_server", lambda _: True)
    monkeypatch.setattr(program.TensorBoard, "_start_subprocess_data_ingester", lambda _: started.append(1))
    monkeypatch.setattr(program.TensorBoard, "main", lambda server: server._make_data_ingester())
    Path("lightning_logs").mkdir()
    monkeypatch.setattr("sys.stderr", io.StringIO())
    did("tensorboard")
    assert started
    assert sys.stderr.getvalue() == ""


def test_option_that_tensorboard_refuses_costs_a_line(complaint, tmp_path):
    (tmp_path / "lightning_logs").mkdir()
    assert complaint("tensorboard", "--port", "abc") == (2, "tensorboard: argument --port: invalid value: 'abc'")
