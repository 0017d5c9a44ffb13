"""Which score chooses the best checkpoint of a model that does not say so."""

from collections.abc import Collection

__all__ = ["only_validation_loss"]


def only_validation_loss(logged: Collection[str]) -> str | None:
    """Return the one name among those of logged scores that can be a validation loss; None if none or several can.

    ``loss/val`` is taken first, then a loss with ``val`` in its name, then one without ``train`` in it.
    """
    if "loss/val" in logged:
        return "loss/val"
    losses = [name for name in logged if "loss" in name.lower() and "train" not in name.lower()]
    # self.log(..., on_step=True, on_epoch=True) logs val_loss, val_loss_step and val_loss_epoch
    losses = [
        name for name in losses if not name.endswith(("_step", "_epoch")) or name.rpartition("_")[0] not in losses
    ]
    names = [name for name in losses if "val" in name.lower()] or losses
    return names[0] if len(names) == 1 else None
