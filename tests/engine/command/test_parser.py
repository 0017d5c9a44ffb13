"""The parser: what it makes of configs and flags, and what it refuses."""

from pathlib import Path

import yaml

from firstlight.engine.command.parser import instantiate, make_parser, parse
from firstlight.engine.command.request import Request

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def parsed(*words):
    parser = make_parser("fit")
    return parser, parse(parser, Request.read("fit", words), None)


def test_models_are_built_from_plain_numbers():
    parser, config = parsed("-c", "mlp", "--model.hidden_dims=[8, 4]")
    hparams = instantiate(parser, config, []).model.hparams
    assert hparams["hidden_dims"] == [8, 4]
    assert {type(number) for number in hparams["hidden_dims"]} == {int}
    assert type(hparams["lr"]) is float


def test_arguments_of_a_class_may_have_any_names():  # Table has one called kind
    parser, config = parsed("-c", "own/table", "--data.kind=class")
    assert instantiate(parser, config, []).data.kind == "class"


def test_what_concerns_one_command_is_not_kept_in_the_config_of_the_run():
    _, config = parsed("-c", "autograd_cubic", "--name", "mine")
    assert (config.name, config.resume, config.run, config.ckpt_path) == (None, None, None, None)


def test_seed_may_be_drawn():
    seeds = {parsed("-c", "autograd_cubic", "--seed_everything=true")[1].seed_everything for _ in range(3)}
    assert len(seeds) > 1
    assert all(type(seed) is int for seed in seeds)


def test_learning_rate_that_nothing_reads_is_refused(complaint):
    assert complaint("fit", "-c", "linear_regression_sine", "--model.lr=0.1") == (
        2,
        "model.lr has no effect, as --optimizer has a learning rate of its own: set --optimizer.lr",
    )


def test_flag_with_a_space_in_its_value_is_no_value_of_resume(did):
    did("fit", *SMALL)
    out = did("fit", "--resume", "--trainer.max_epochs= 7", "--print_config")
    assert yaml.safe_load(out)["trainer"]["max_epochs"] == 7


def test_callback_that_refuses_its_arguments_is_named_with_the_reason(complaint):
    words = ("--trainer.callbacks=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=-1.0")
    status, message = complaint("fit", *SMALL, *words)
    assert status == 2
    assert message.startswith("StochasticWeightAveraging: The `swa_lrs` should a positive float")


def test_barebones_turns_off_what_the_trainer_then_refuses(did, complaint):
    did("fit", *SMALL, "--trainer.barebones=true")  # the config sets log_every_n_steps
    assert "ok " in did("check", "autograd_cubic", "--trainer.barebones=true")
    status, message = complaint("fit", *SMALL, "--trainer.barebones=true", "--trainer.log_every_n_steps=5")
    assert (status, "log_every_n_steps=5" in message) == (2, True)


def test_strategy_may_be_named_by_its_class(did):
    out = did("fit", *SMALL, "--trainer.strategy=DDPStrategy", "--trainer.devices=1", "--pictures=none")
    assert "lightning_logs/autograd_cubic/version_0" in out
    assert (
        yaml.safe_load(Path("lightning_logs/autograd_cubic/version_0/config.yaml").read_text())["trainer"]["strategy"]
        == "ddp"
    )
