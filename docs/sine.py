"""Draw docs/sine.png, the README's picture: a cubic on its way to the sine, from the runs of the real classes."""

from pathlib import Path

import matplotlib.pyplot as plt
from lightning.pytorch import Callback, Trainer, seed_everything

from firstlight import AutogradCubic, Sine


class Fits(Callback):
    """Keep the curve after some of the epochs."""

    def __init__(self):
        self.after = {}

    def on_train_epoch_end(self, trainer, pl_module):
        epoch = trainer.current_epoch + 1
        if epoch in (1, 5, 10, 15, 20):
            x, _ = trainer.datamodule.train
            loss = float(pl_module.train_scores["loss"].compute())
            self.after[epoch * 100] = loss, pl_module(x.float()).detach().flatten()


seed_everything(0)
model, data, fits = AutogradCubic(), Sine(repeats=100), Fits()
Trainer(max_epochs=20, accelerator="cpu", callbacks=fits, logger=False, enable_checkpointing=False).fit(model, data)

x, y = (part.flatten() for part in data.train)
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.plot(x, y, color="black", linewidth=3, label="sin(x)")
for shade, (step, (loss, curve)) in enumerate(fits.after.items(), start=1):
    axes.plot(x, curve, color=plt.cm.viridis(1 - shade / 6), label=f"step {step}, loss {loss:.4g}")
axes.set(title="a + b x + c x² + d x³ on its way to the sine", xlabel="x in radians", ylim=(-2.2, 2.2))
axes.legend(loc="lower right", fontsize="small")
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
