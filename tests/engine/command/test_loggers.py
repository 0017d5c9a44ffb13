"""Each logger writes into its run's folder, and goes on with what it has of a resumed run."""

import csv
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import MLFlowLogger, WandbLogger
from tests.conftest import draw_little

from firstlight.engine.command import loggers

SMALL = ("--config=autograd_cubic", "--data.num_points=30", "--data.repeats=4", "--trainer.log_every_n_steps=1")
SHORT = ("fit", *SMALL, "--trainer.max_epochs=2", "--name=run")
RUN = Path("lightning_logs/run/version_0")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def curves(out):
    """Return what the closing lines say of the curves."""
    return [line.removeprefix("curves:  ") for line in out.splitlines() if line.startswith("curves:")]


def events(folder="."):
    return [*Path(folder).rglob("events.out.tfevents*")]


@pytest.mark.parametrize("flags", [["--logger=csv"], ["--trainer.logger=CSVLogger"]])
def test_csv_is_one_file_in_the_run_s_folder(flags, did):
    assert curves(did(*SHORT, *flags)) == [f"{RUN}/metrics.csv"]
    written = rows(RUN / "metrics.csv")
    assert [row["step"] for row in written if row["loss/step"]] == [*"01234567"]
    assert [row["step"] for row in written if row["loss/val"]] == ["3", "7"]
    assert [*Path().rglob("metrics.csv")] == [RUN / "metrics.csv"]
    assert events() == []


@pytest.mark.parametrize("flags", [["--logger=csv"], ["--trainer.logger=CSVLogger"]])
def test_resumed_run_goes_on_with_its_csv_file(flags, did):
    did(*SHORT, *flags)
    did("fit", "--resume", "--trainer.max_epochs=3")
    did("fit", *SMALL, "--trainer.max_epochs=3", "--name=whole", *flags)
    whole = rows(Path("lightning_logs/whole/version_0/metrics.csv"))
    assert rows(RUN / "metrics.csv") == whole
    assert len([row for row in whole if row["loss/step"]]) == 12


def test_resume_that_is_refused_leaves_the_csv_file(did, complaint):
    did(*SHORT, "--logger=csv", "--lr_scheduler=CosineAnnealingLR")
    before = (RUN / "metrics.csv").read_bytes()
    complaint("fit", "--resume", "--trainer.max_epochs=3")
    assert (RUN / "metrics.csv").read_bytes() == before


def test_evaluation_leaves_the_logs_of_training(did):
    did(*SHORT, "--trainer.logger=CSVLogger")
    before = (RUN / "metrics.csv").read_bytes()
    did("test", "--run=run")
    assert (RUN / "metrics.csv").read_bytes() == before
    did("test", "--run=run", "--trainer.logger=CSVLogger")  # unless it is asked for
    assert "loss/test" in (RUN / "metrics.csv").read_text().partition("\n")[0]
    assert len(rows(RUN / "metrics.csv")) == len(before.splitlines())


def test_no_logger_writes_nothing_and_says_nothing(did):
    assert curves(did(*SHORT, "--logger=none")) == []
    assert {path.name for path in RUN.iterdir()} == {"checkpoints", "config.yaml", "run.json"}


def test_tensorboard_is_where_a_run_s_curves_go_by_default(did):
    assert curves(did(*SHORT)) == ["firstlight tensorboard --logdir lightning_logs"]
    assert len(events(RUN)) == 2  # curves and hyperparameters


def test_folder_that_is_named_is_used(did):
    out = did(*SHORT, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs")
    assert curves(out) == ["logs/run/version_0/metrics.csv"]
    did("fit", "--resume", "--trainer.max_epochs=3")
    assert [*Path("logs").rglob("*.csv")] == [Path("logs/run/version_0/metrics.csv")]


def test_several_loggers_share_the_run_s_folder(did):
    out = did(*SHORT, "--trainer.logger=[{class_path: CSVLogger}, {class_path: TensorBoardLogger}]")
    assert curves(out) == [f"{RUN}/metrics.csv", "firstlight tensorboard --logdir lightning_logs"]
    assert [file.parent for file in events()] == [RUN, RUN / "scores"]
    config = (RUN / "config.yaml").read_text()
    assert "version_0" not in config  # a run that starts from this config gets a folder of its own


def test_two_answers_to_one_question_are_refused(complaint):
    words = ("--logger=csv", "--trainer.logger=TensorBoardLogger")
    assert complaint(*SHORT, *words) == (2, "--logger and --trainer.logger both say where curves go: use one of them")


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_service_without_its_package_is_refused(name, complaint):
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    assert complaint(*SHORT, f"--logger={name}") == (2, f"--logger {name} needs the package {name}: pip install {name}")


class Wandb(WandbLogger):
    """A W&B logger without W&B: it notes what it is given."""

    made = None  # the fixture below sets it

    def __init__(self, name=None, save_dir=".", id=None, log_model=False):  # noqa: A002
        self.given, self.rows, self.images = {"name": name, "save_dir": save_dir, "id": id}, [], {}
        self.made.append(self)
        self.folder = Path(save_dir, f"wandb/offline-run-{len(self.made)}-{self.version}")
        self.folder.mkdir(parents=True)

    name = property(lambda _: "project")
    save_dir = property(lambda self: self.given["save_dir"])
    version = property(lambda self: self.given["id"] or "a1b2c3")
    experiment = property(lambda self: SimpleNamespace(offline=True, id=self.version, dir=str(self.folder / "files")))

    def log_hyperparams(self, params): ...

    def finalize(self, status): ...

    def after_save_checkpoint(self, callback): ...

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_image(self, key, images, step=None):
        self.images[key] = step


class MLFlow(MLFlowLogger):
    """An MLflow logger without MLflow."""

    made = None  # the fixture below sets it

    def __init__(self, run_name=None, tracking_uri=None, run_id=None):
        self.given, self.figures = {"run_name": run_name, "tracking_uri": tracking_uri, "run_id": run_id}, []
        self.experiment_client = SimpleNamespace(
            tracking_uri=tracking_uri, log_figure=lambda run, _, file: self.figures.append((run, file))
        )
        self.made.append(self)

    experiment = property(lambda self: self.experiment_client)
    name = property(lambda _: "0")
    save_dir = property(lambda _: None)
    version = run_id = property(lambda self: self.given["run_id"] or "a1b2c3")

    def log_hyperparams(self, params): ...

    def finalize(self, status): ...

    def after_save_checkpoint(self, callback): ...

    def log_metrics(self, metrics, step=None): ...


@pytest.fixture
def services(monkeypatch):
    draw_little(monkeypatch)
    monkeypatch.setattr(Wandb, "made", [])
    monkeypatch.setattr(MLFlow, "made", [])
    monkeypatch.setitem(loggers.LOGGERS, "wandb", Wandb)
    monkeypatch.setitem(loggers.LOGGERS, "mlflow", MLFlow)


@pytest.mark.pictures
def test_resumed_run_goes_on_with_the_run_of_its_service(services, did):
    out = did(*SHORT, "--logger=wandb")
    folders = [f"{RUN}/wandb/offline-run-{number}-a1b2c3" for number in (1, 2)]
    assert curves(out) == [f"wandb sync {folders[0]}"]
    out = did("fit", "--resume", "--trainer.max_epochs=3")
    assert curves(out) == [f"wandb sync {folders[0]} {folders[1]}"]
    first, second = Wandb.made
    assert first.given == {"name": "run/version_0", "save_dir": str(RUN), "id": None}
    assert second.given == {"name": "run/version_0", "save_dir": str(RUN), "id": "a1b2c3"}
    assert min(step for step, _ in second.rows) == 8
    assert set(first.images.values()) == {7}


@pytest.mark.pictures
def test_runs_of_a_store_can_be_compared(services, did):
    assert curves(did(*SHORT, "--logger=mlflow")) == [
        "mlflow ui --backend-store-uri sqlite:///lightning_logs/mlflow.db"
    ]
    did("fit", "--resume", "--trainer.max_epochs=3")
    first, second = MLFlow.made
    store = "sqlite:///lightning_logs/mlflow.db"
    assert first.given == {"run_name": "run/version_0", "tracking_uri": store, "run_id": None}
    assert second.given["run_id"] == "a1b2c3"
    assert {run for run, _ in first.figures} == {"a1b2c3"}
    assert {file.rpartition("/")[2] for _, file in first.figures} == {"step_0.png", "step_3.png", "step_7.png"}


def test_server_that_the_environment_names_is_used(services, did, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    did(*SHORT, "--logger=mlflow", "--trainer.fast_dev_run=true")
    assert MLFlow.made[0].given["tracking_uri"] == "http://localhost:5000"


def test_wandb_itself_keeps_its_run_offline(did, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is a large package, and firstlight does not need it")
    monkeypatch.setenv("WANDB_MODE", "offline")
    out = did(*SHORT, "--logger=wandb")
    assert curves(out)[0].startswith(f"wandb sync {RUN}/wandb/offline-run-")
    wandb.finish()  # as the end of the process does
    out = did("fit", "--resume", "--trainer.max_epochs=3")
    wandb.finish()
    names = [path.name for path in (RUN / "wandb").glob("offline-run-*")]
    assert len({name.rpartition("-")[2] for name in names}) == 1  # the same id
    assert all(name in curves(out)[0] for name in names)


@pytest.mark.pictures
@pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")  # MLflow's own use of SQLAlchemy 2.1
def test_mlflow_itself_keeps_its_run(did, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is a large package, and firstlight does not need it")
    did(*SHORT, "--logger=mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # which MLflow sets for the rest of the process
    did("fit", "--resume", "--trainer.max_epochs=3")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = mlflow.MlflowClient("sqlite:///lightning_logs/mlflow.db")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert [each.step for each in client.get_metric_history(run.info.run_id, "loss/val")] == [3, 7, 11]
    assert client.list_artifacts(run.info.run_id)
    assert {path.name for path in Path().iterdir()} == {"lightning_logs"}
