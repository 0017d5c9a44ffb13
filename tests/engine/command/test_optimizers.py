"""An optimizer and a schedule that a config names do what the model's own would do."""

from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from tests.repeated import first_quick

from firstlight.engine.command.optimizers import set_optimizer
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import UsageError

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2")
HALVE = ("--lr_scheduler=StepLR", "--lr_scheduler.step_size=1", "--lr_scheduler.gamma=0.5")


def named(name, **arguments):
    return Namespace(class_path=name, init_args=Namespace(**arguments))


SGD = named("torch.optim.SGD", lr=0.1)
STEP = named("torch.optim.lr_scheduler.StepLR", step_size=1)


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.5)


def test_model_keeps_its_own_optimizer_where_none_is_named():
    model = Model()
    own = model.configure_optimizers
    set_optimizer(model, None, None)
    assert model.configure_optimizers == own


def test_optimizer_is_made_from_the_parameters_that_the_model_has_when_training_begins():
    model = Model()
    set_optimizer(model, SGD, None)
    model.layer = torch.nn.Linear(1, 1)  # as a strategy replaces them
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert [id(parameter) for parameter in optimizer.param_groups[0]["params"]] == [*map(id, model.parameters())]
    assert is_overridden("configure_optimizers", model)  # Lightning asks that


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        (STEP, {"interval": "epoch"}),
        (named("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.1, total_steps=3), {"interval": "step"}),
        (
            named("lightning.pytorch.cli.ReduceLROnPlateau", monitor="loss/val"),
            {"interval": "epoch", "monitor": "loss/val"},
        ),
    ],
)
@pytest.mark.parametrize("optimizer", [SGD, None])
def test_schedule_is_stepped_as_it_is_meant(schedule, settings, optimizer, quick_trainer):
    model = Model()
    model.trainer = quick_trainer(fast_dev_run=True)
    set_optimizer(model, optimizer, schedule)
    made = model.configure_optimizers()
    assert type(made["optimizer"]).__name__ == ("SGD" if optimizer else "Adam")
    scheduler = made["lr_scheduler"].pop("scheduler")
    assert f"{type(scheduler).__module__}.{type(scheduler).__name__}" == schedule.class_path
    assert made["lr_scheduler"] == settings


def test_schedule_beside_the_model_s_own_is_refused():
    model = Model()
    model.configure_optimizers = lambda: {"optimizer": None, "lr_scheduler": None}
    set_optimizer(model, None, STEP)
    with pytest.raises(UsageError, match="Model has a schedule of its own; set --optimizer too"):
        model.configure_optimizers()


def test_schedule_changes_the_learning_rate_of_the_model_s_own_optimizer(did):
    did("fit", *SMALL, *HALVE, "--trainer.max_epochs=1")
    (state,) = load_checkpoint("lightning_logs/autograd_cubic/version_0/checkpoints/last.ckpt")["optimizer_states"]
    assert state["param_groups"][0]["lr"] == pytest.approx(1e-6 / 2)


HOUSES = ("--config", "linear_regression", "--data.batch_size=250", "--pictures=none", "--model.lr=1e-3")  # 4 batches
CYCLE = ("--lr_scheduler=OneCycleLR", "--lr_scheduler.max_lr=1e-3")


def schedule_of(run):
    """Return the state of the schedule in a run's last checkpoint."""
    (state,) = load_checkpoint(f"lightning_logs/{run}/version_0/checkpoints/last.ckpt")["lr_schedulers"]
    return state


@pytest.mark.parametrize(
    ("flags", "steps"),
    first_quick(
        5,
        [
            (["--trainer.max_epochs=3"], 12),
            (["--trainer.max_epochs=3", "--trainer.max_steps=7"], 7),
            (["--trainer.max_epochs=3", "--trainer.accumulate_grad_batches=3"], 6),
            (["--trainer.max_epochs=3", "--data.num_folds=2", "--data.fold=0"], 9),
            (["--trainer.max_epochs=3", "--updates_per_batch=4"], 12),
            (["--trainer.max_epochs=-1", "--trainer.max_steps=7"], 7),
            (["--trainer.max_epochs=3", "--trainer.limit_train_batches=2"], 6),
            (["--trainer.max_epochs=3", "--trainer.limit_train_batches=0.5"], 6),
            (["--trainer.max_epochs=3", "--trainer.overfit_batches=1"], 3),
            (
                [
                    "--trainer.max_epochs=3",
                    "--trainer.callbacks+=GradientAccumulationScheduler",
                    "--trainer.callbacks.scheduling={0: 1, 1: 3}",
                ],
                8,
            ),
            (["--trainer.max_epochs=3", "--data.batch_size=125"], 24),
        ],
    ),
)
def test_schedule_without_a_length_takes_that_of_the_run(flags, steps, did):
    did("fit", *HOUSES, *CYCLE, *flags, "--name=run")
    state = schedule_of("run")
    assert (state["total_steps"], state["last_epoch"]) == (steps, steps)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    first_quick(
        5,
        [
            (["CosineAnnealingLR"], {"T_max": 4}),
            (["LinearLR"], {"total_iters": 5}),  # a warm-up: torch's own default
            (["LinearLR", "--lr_scheduler.total_iters=null"], {"total_iters": 4}),
            (["MultiStepLR", "--lr_scheduler.milestones=[0.5,0.75]"], {"milestones": {2: 1, 3: 1}}),
            (["WarmupCosineLR"], {"total_steps": 16, "warmup": 1}),
            (["CosineAnnealingLR", "--lr_scheduler.T_max=0.5"], {"T_max": 2}),
            (["CosineAnnealingLR", "--lr_scheduler.T_max=2"], {"T_max": 2}),  # two half periods
            (["PolynomialLR"], {"total_iters": 4}),
            (["LinearLR", "--lr_scheduler.total_iters=0.25"], {"total_iters": 1}),
            (["StepLR", "--lr_scheduler.step_size=0.5"], {"step_size": 2}),
            (["MultiStepLR", "--lr_scheduler.milestones=[1,30]"], {"milestones": {1: 1, 30: 1}}),
            (["WarmupCosineLR", "--lr_scheduler.warmup=3"], {"total_steps": 16, "warmup": 3}),
        ],
    ),
)
def test_length_may_be_left_out_or_a_share_of_the_run(schedule, expected, did):
    did("fit", *HOUSES, "--trainer.max_epochs=4", "--name=run", "--lr_scheduler", *schedule)
    assert {name: schedule_of("run")[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("flags", "epochs"),
    [
        (["--trainer.max_epochs=3", "--trainer.max_steps=6"], 2),
        (["--trainer.max_epochs=1", "--trainer.max_steps=6"], 1),
        (["--trainer.max_epochs=-1", "--trainer.max_steps=9", "--trainer.accumulate_grad_batches=2"], 5),
    ],
)
def test_run_of_a_number_of_steps_has_as_many_epochs_as_it_begins(flags, epochs, did):
    did("fit", *HOUSES, *flags, "--name=run", "--lr_scheduler=CosineAnnealingLR")
    assert schedule_of("run")["T_max"] == epochs


def test_cosine_ends_at_zero_where_its_run_ends(did):
    did("fit", *HOUSES, "--trainer.max_epochs=3", "--name=run", "--lr_scheduler=CosineAnnealingLR")
    assert schedule_of("run")["_last_lr"] == [pytest.approx(0, abs=1e-12)]


LEAVE_OUT = "leave it out, and it is the run's"


@pytest.mark.parametrize(
    ("schedule", "message"),
    first_quick(
        2,
        [
            (
                ["--lr_scheduler=CosineAnnealingLR", "--lr_scheduler.T_max=12"],
                "T_max is 12, but the run takes 3 epochs",
            ),
            (
                [*CYCLE, "--lr_scheduler.epochs=2", "--lr_scheduler.steps_per_epoch=4"],
                "total_steps is 8, but the run takes 12 steps",
            ),
            ([*CYCLE, "--lr_scheduler.total_steps=8920"], "total_steps is 8920, but the run takes 12 steps"),
            ([*CYCLE, "--lr_scheduler.total_steps=11"], "total_steps is 11, but the run takes 12 steps"),
            (
                ["--lr_scheduler=WarmupCosineLR", "--lr_scheduler.total_steps=13"],
                "total_steps is 13, but the run takes 12 steps",
            ),
            (["--lr_scheduler=CosineAnnealingLR", "--lr_scheduler.T_max=2"], "T_max is 2, but the run takes 3 epochs"),
            (
                ["--lr_scheduler=PolynomialLR", "--lr_scheduler.total_iters=5"],
                "total_iters is 5, but the run takes 3 epochs",
            ),
        ],
    ),
)
def test_schedule_of_another_length_than_the_run_is_refused_by_fit_and_check_in_the_same_words(
    schedule, message, complaint, did, firstlight
):
    flags = (*HOUSES, "--trainer.max_epochs=3", *schedule)
    Path("my.yaml").write_text(did("fit", *flags, "--print_config"))
    text = f"lr_scheduler.{message}: {LEAVE_OUT}"
    assert complaint("fit", *flags) == (2, text)
    assert not [*Path().glob("lightning_logs/*/*")]
    assert firstlight("check", "my.yaml")[:2] == (2, f"error:   my.yaml: {text}\n")
    did("fit", *flags, "--trainer.fast_dev_run=true")  # of the run that it rehearses it knows nothing


def test_schedule_needs_a_length_where_the_run_has_none(complaint, did):
    endless = (*HOUSES, "--trainer.max_epochs=-1", "--trainer.max_time=00:00:00:01")
    missing = "lr_scheduler.{} is not set, but nothing says how many {} the run takes"
    assert complaint("fit", *endless, *CYCLE) == (2, missing.format("total_steps", "steps"))
    assert complaint("fit", *endless, "--lr_scheduler=CosineAnnealingLR") == (2, missing.format("T_max", "epochs"))
    expected = "lr_scheduler.total_steps is 7, but the run goes on: raise it, or end the run earlier"
    assert complaint("fit", *endless, *CYCLE, "--lr_scheduler.total_steps=7") == (2, expected)


def test_half_of_the_other_way_to_set_a_length_is_refused(complaint):
    words = ("fit", *HOUSES, *CYCLE, "--lr_scheduler.epochs=5")
    assert complaint(*words) == (2, "lr_scheduler: OneCycleLR takes epochs and steps_per_epoch together")


@pytest.mark.parametrize("warmup", [500, -3])
def test_number_that_a_schedule_refuses_is_named(warmup, complaint):
    status, text = complaint("fit", *SMALL, "--lr_scheduler=WarmupCosineLR", f"--lr_scheduler.warmup={warmup}")
    assert (status, text.partition(": ")[0]) == (2, f"lr_scheduler.warmup is {warmup}")


def test_settings_of_a_schedule_that_are_typed_on_a_resume_count_from_there(did):
    did("fit", *SMALL, *HALVE, "--trainer.max_epochs=2", "--name=run")
    (before,) = schedule_of("run")["_last_lr"]
    did("fit", "--resume=run", "--trainer.max_epochs=3", "--lr_scheduler.gamma=0.1")
    assert schedule_of("run")["_last_lr"] == pytest.approx([before / 10])


def test_schedule_of_a_resumed_run_keeps_its_length(did, complaint):
    did("fit", *HOUSES, *CYCLE, "--trainer.max_epochs=2", "--name=run")
    config = Path("lightning_logs/run/version_0/config.yaml")
    before = config.read_text()
    assert complaint("fit", "--resume", "--trainer.max_epochs=3") == (
        2,
        "the schedule of the checkpoint has total_steps 8, that of this run 12: a schedule cannot change its length\n"
        "resume with the same --trainer.max_epochs and --lr_scheduler, or start a new run",
    )
    assert config.read_text() == before
    assert "nothing left to do" in did("fit", "--resume")


def test_milestones_of_a_resumed_run_are_those_that_it_began_with(did, complaint):
    words = ("--lr_scheduler=MultiStepLR", "--lr_scheduler.milestones")
    did("fit", *HOUSES, *words, "[0.5]", "--trainer.max_epochs=2", "--name=run")
    _, text = complaint("fit", "--resume", "--trainer.max_epochs=4")
    assert text.startswith("the schedule of the checkpoint has milestones [1], that of this run [2]: ")
    did("fit", "--resume", "--trainer.max_epochs=4", "--lr_scheduler.milestones=[1]")
