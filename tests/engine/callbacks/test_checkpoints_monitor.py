import pytest

from firstlight.engine.callbacks.checkpoints import only_validation_loss


@pytest.mark.parametrize(
    ("logged", "chosen"),
    [
        (["val_loss"], "val_loss"),
        (["loss/val", "val_loss"], "loss/val"),
        (["train_loss", "val_acc", "val_loss"], "val_loss"),
        (["loss", "val_loss"], "val_loss"),
        (["valid/Loss", "train/Loss"], "valid/Loss"),
        (["val_loss", "val_loss_step", "val_loss_epoch"], "val_loss"),
        (["val_loss_epoch", "val_loss_step"], None),
        (["test_loss"], "test_loss"),
        (["val_loss/dataloader_idx_0", "val_loss/dataloader_idx_1"], None),
        (["val_acc"], None),
        (["train_loss"], None),
        ([], None),
    ],
)
def test_score_is_chosen_only_where_one_can_be_meant(logged, chosen):
    assert only_validation_loss(logged) == chosen
