"""Draw docs/sine.png, the README's picture: a cubic on its way to the sine, from the runs of the real classes."""

from pathlib import Path

from lightning.pytorch import Callback, Trainer, seed_everything

from firstlight import AutogradCubic, Sine
from firstlight.plots.style import BLACK, VERMILION, new_figure, set_title, shades, styled


class Fits(Callback):
    """Keep the curve after some of the epochs."""

    def __init__(self):
        self.after = {}

    def on_train_epoch_end(self, trainer, pl_module):
        epoch = trainer.current_epoch + 1
        if epoch in (1, 5, 10, 15, 20):
            x, _ = trainer.datamodule.train
            loss = float(pl_module.latest_loss)
            self.after[epoch * 100] = loss, pl_module(x.float()).detach().flatten()


seed_everything(0)
model, data, fits = AutogradCubic(), Sine(repeats=100), Fits()
Trainer(max_epochs=20, accelerator="cpu", callbacks=fits, logger=False, enable_checkpointing=False).fit(model, data)

x, y = (part.flatten() for part in data.train)


@styled
def draw():
    """Return the figure."""
    figure, (axes,) = new_figure(size=(7.2, 3.2), left=0.5, right=2.05)
    axes.plot(x, y, color=BLACK, linewidth=5, alpha=0.3, label="sin(x)")
    colors = [*shades(len(fits.after) - 1), VERMILION]
    for (step, (loss, curve)), color in zip(fits.after.items(), colors, strict=True):
        axes.plot(x, curve, color=color, label=f"step {step:,}, loss {loss:.4g}")
    axes.set(xlabel="x in radians", ylim=(-2.2, 2.2))
    set_title(axes, "a + b x + c x² + d x³ on its way to the sine")
    axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1))
    return figure


draw().savefig(Path(__file__).with_suffix(".png"), dpi=130)
