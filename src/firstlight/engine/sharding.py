"""A strategy that Lightning leaves to be written; importing it makes it ``trainer.strategy: sharded``."""

from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import nn
from torch.distributed.fsdp import fully_shard

from firstlight.errors import UsageError

__all__ = ["Sharded"]


class Sharded(ModelParallelStrategy):
    """Share weights, gradients and optimizer states out over all processes, for a model too wide for one.

    Each linear layer is put together where it is needed and taken apart again (FSDP2, ``fully_shard``). Checkpoints
    are single files with whole tensors: any number of processes goes on with them, one included.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def connect(self, model: LightningModule) -> None:
        """Take a model over, and see to it that it will be shared out."""
        super().connect(model)
        model.configure_model = lambda: self._shard(model)  # type: ignore[method-assign]

    def setup_environment(self) -> None:
        """Meet the other processes."""
        self._data_parallel_size = self.world_size
        super().setup_environment()

    def _shard(self, model: LightningModule) -> None:
        """Share out the layers.

        Raises:
            UsageError: If some parameters are in no layer: their gradients would be each process's own.
        """
        if own := [name for name, _ in model.named_parameters(recurse=False)]:
            raise UsageError(f"{type(model).__name__}.{own[0]} is in no layer, so it cannot be sharded: use ddp")
        mesh = self.device_mesh["data_parallel"]
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=mesh)
        for child in model.children():  # not the model itself: it would become of another class
            if any(True for _ in child.parameters()):
                fully_shard(child, mesh=mesh)


if "sharded" not in StrategyRegistry:
    StrategyRegistry.register("sharded", Sharded, description=(Sharded.__doc__ or "").partition("\n")[0])
