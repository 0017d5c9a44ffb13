"""A minimal LightningCLI script with the same model and data, to compare the time to the first step with."""

from lightning.pytorch.cli import LightningCLI

from firstlight.data import Sine
from firstlight.models import AutogradCubic

if __name__ == "__main__":
    LightningCLI(AutogradCubic, Sine, save_config_kwargs={"overwrite": True})
