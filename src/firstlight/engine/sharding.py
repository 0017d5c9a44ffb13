"""The strategy ``sharded`` (FSDP2), whose name the Trainer knows once this is imported, and what processes share."""

from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from firstlight.errors import UsageError

Part = TypeVar("Part")


def gather_objects(part: Part) -> list[Part]:
    """Return the objects of all processes, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [part]
    parts = [part] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


class Sharded(ModelParallelStrategy):
    """Shard weights, gradients and optimizer states over all processes, for a model too large for one.

    The weights of each linear layer are gathered where they are needed and freed again (FSDP2, ``fully_shard``).
    Checkpoints are single files with whole tensors: any number of processes can resume from them, one included.
    """

    def __init__(self) -> None:
        super().__init__(save_distributed_checkpoint=False)

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Give each process a share of the data: all of them are data-parallel, those of one node too."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    def connect(self, model: LightningModule) -> None:
        """Have the model sharded when the Trainer configures it."""
        super().connect(model)
        vars(model)["configure_model"] = lambda: self._shard(model)

    def _shard(self, model: LightningModule) -> None:
        """Shard the layers; refuse parameters in no layer, as their gradients would differ between processes."""
        if own := [name for name, _ in model.named_parameters(recurse=False)]:
            raise UsageError(f"{type(model).__name__}.{own[0]} is in no layer, so it cannot be sharded: use ddp")
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=mesh)
        for child in model.children():  # not the model itself: its class would change
            if any(True for _ in child.parameters()) and not isinstance(child, nn.Linear):
                fully_shard(child, mesh=mesh)


if "sharded" not in StrategyRegistry:
    StrategyRegistry.register("sharded", Sharded, description=(Sharded.__doc__ or "").partition("\n")[0])
