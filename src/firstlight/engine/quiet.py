"""Lightning without its greetings and false alarms, and a Trainer for notebooks."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Trainer


def quiet_trainer(**arguments: Any) -> Trainer:
    """Return a Trainer that prints and writes nothing: no logger, checkpoints, progress bar or summary; on the CPU.

    Args:
        arguments: Arguments of the Trainer; they win over these settings.
    """
    silence_lightning()
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(**{"accelerator": "cpu", "num_sanity_val_steps": 0, **silent, **arguments})


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress all output: what is printed, logged or warned of."""
    logging.disable()
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        logging.disable(logging.NOTSET)


def silence_lightning() -> None:
    """Silence what Lightning logs when it starts, and warnings that do not apply here, each by its text.

    One warning becomes an error: targets that do not have the shape of the outputs.
    """
    # with pytorch_lightning imported too, by whatever package, what lightning logs goes through that
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.callbacks.model_summary").setLevel(logging.INFO)  # off unless asked for
    for message in (
        # scores are logged once an epoch, not every log_every_n_steps
        r"The number of training batches \(\d+\) is smaller than the logging interval",
        # a config says so where a model would leave a GPU idle
        r"GPU available but not used",
        # a run that is only tested needs none of the callbacks that it was trained with
        r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided",
        r"You're loading a checkpoint outside the .fit. stage|.*loading a checkpoint outside the .fit. stage",
        # said of a user's ModelCheckpoint: its folder is full in a resume, and another in evaluation
        r"The dirpath has changed from '.*' to '(?!.*version_\d+/checkpoints')",
        r"Checkpoint directory \S*version_\d+/checkpoints exists and is not empty",
        # said of OnExceptionCheckpoint, whose file a new run does not start from
        r".\.fit\(ckpt_path=None\). was called without a model",
        r"\.fit\(ckpt_path=\"last\"\) is set, but there is no last",
        # the name of a class in a script that the font of pictures lacks
        r"Glyph \d+ .* missing from",
        # said of trainer.barebones, which asks for it
        r"You are trying to `self.log\(\)` but `Trainer\(barebones=True\)` is configured",
        # Lightning 2.6's own use of torch
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message)
    # torch would go on, with the difference of every output and every target
    warnings.filterwarnings("error", "Using a target size")
