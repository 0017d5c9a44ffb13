"""A minimal LightningCLI script on data of one's own, to compare the time of an epoch with."""

from lightning.pytorch.cli import LightningCLI

from benchmarks.own_data import PlainImages
from firstlight.models import MLP

if __name__ == "__main__":
    LightningCLI(MLP, PlainImages, save_config_kwargs={"overwrite": True})
