import re

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from firstlight import MLP, FashionMNIST, NeuralNetwork, SoftmaxRegression


def test_the_images_are_those_that_were_published(real_data):
    data = FashionMNIST(real_data)
    data.setup("fit")
    pixels = torch.cat([data.train[0], data.val[0]]).float() / 255
    assert len(pixels) == 60_000
    assert pixels.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3530, abs=5e-5)
    assert torch.cat([data.train[1], data.val[1]]).bincount().tolist() == [6000] * 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "lr", "batch_size", "accuracy"),
    [
        (SoftmaxRegression, 0.1, 256, 0.80),
        (MLP, 0.5, 256, 0.82),
        (NeuralNetwork, 0.1, 64, 0.82),
    ],
)
def test_five_documented_epochs_reach_the_documented_accuracy(
    model_class, lr, batch_size, accuracy, real_data, quick_trainer, tmp_path
):
    best = ModelCheckpoint(tmp_path, monitor="accuracy/val", mode="max", save_weights_only=True)
    trainer = quick_trainer(max_epochs=5, enable_checkpointing=True, callbacks=[best])
    data = FashionMNIST(real_data, batch_size)
    trainer.fit(model_class(lr=lr), data)
    (scores,) = trainer.test(ckpt_path="best", datamodule=data, weights_only=True, verbose=False)
    assert scores["accuracy/test"] >= accuracy


@pytest.mark.slow
def test_speedrun_ends_at_the_accuracy_that_it_promises(real_data, did):
    out = did("fit", "--config=records/speedrun", "--trainer.accelerator=cpu", "--pictures=none", "--test")
    assert float(re.search(r"accuracy/test ([\d.]+)", out)[1]) == pytest.approx(0.9035, abs=0.004)
