"""The number of parameters, as text."""

from pathlib import Path

import torch
from torch import nn

from firstlight.engine.command.stages import parameter_count

MODEL = """
import torch
from lightning.pytorch import LightningModule

class Late(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.LazyLinear(1)

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("loss/val", self.training_step(batch, batch_idx))

    def test_step(self, batch, batch_idx):
        self.log("loss/test", self.training_step(batch, batch_idx))

    def predict_step(self, batch, batch_idx):
        return self(batch[0])

    def configure_optimizers(self):
        self(torch.ones(1, 1))
        return torch.optim.SGD(self.parameters(), 0.1)
"""
CONFIG = """
model: late.Late
data: {class_path: Sine, init_args: {num_points: 30}}
trainer: {max_epochs: 1, accelerator: cpu}
"""


def test_number_has_the_lazy_layers_once_they_saw_a_batch():
    model = nn.Sequential(nn.Linear(999, 2), nn.LazyLinear(3))
    assert parameter_count(model) == "2,000 parameters and lazy layers"
    model(torch.ones(1, 999))
    assert parameter_count(model) == "2,009 parameters"


def test_model_with_lazy_layers_goes_through_every_command(did, monkeypatch):
    Path("late.py").write_text(MODEL)
    Path("late.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "late")
    assert "net.weight  known with the first batch" in did("describe", "late.yaml")
    assert did("check", "late.yaml").startswith("ok ")
    assert did("fit", "-c", "late.yaml").startswith("Late, 0 parameters and lazy layers, on cpu in ")
    assert "epoch 2/2 " in did("fit", "--resume", "--trainer.max_epochs=2")
    assert "loss/test " in did("test")
    assert "(29 examples" in did("predict")
    assert "outputs differ by at most" in did("export", "--format=safetensors")
