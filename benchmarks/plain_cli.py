"""A LightningCLI script as people write it, with the same model and data: how long until its first step?"""

from lightning.pytorch.cli import LightningCLI

from firstlight.data import Sine
from firstlight.models import AutogradCubic

if __name__ == "__main__":
    LightningCLI(AutogradCubic, Sine, save_config_kwargs={"overwrite": True})
