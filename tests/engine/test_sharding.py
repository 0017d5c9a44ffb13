import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import StrategyRegistry
from torch.distributed.fsdp import FSDPModule

from firstlight import MLP, AutogradCubic
from firstlight.engine.sharding import Sharded
from firstlight.errors import UsageError


def test_strategy_is_known_to_the_trainer_by_name():
    assert isinstance(StrategyRegistry.get("sharded"), Sharded)
    trainer = Trainer(accelerator="cpu", strategy="sharded", logger=False, enable_checkpointing=False)
    assert isinstance(trainer.strategy, Sharded)


def test_every_linear_layer_is_sharded_and_the_model_keeps_its_class(monkeypatch):
    sharded = []
    monkeypatch.setattr("firstlight.engine.sharding.fully_shard", lambda layer, **_: sharded.append(layer))
    meshes = []
    monkeypatch.setattr("firstlight.engine.sharding.init_device_mesh", lambda *mesh: meshes.append(mesh))
    model, strategy = MLP(hidden_dims=[8, 8]), Sharded()
    strategy.parallel_devices, strategy.cluster_environment = [torch.device("cpu")] * 2, LightningEnvironment()
    strategy.cluster_environment.set_world_size(6)  # two on each of three nodes
    strategy.connect(model)
    model.configure_model()
    assert [type(layer).__name__ for layer in sharded] == ["Linear", "Linear", "Linear", "Sequential"]
    assert not isinstance(model, FSDPModule)
    assert meshes == [("cpu", (6,))]
    assert strategy.distributed_sampler_kwargs == {"num_replicas": 6, "rank": 0}


def test_parameter_outside_a_layer_is_refused():
    model, strategy = AutogradCubic(), Sharded()
    strategy.connect(model)
    with pytest.raises(UsageError, match=r"AutogradCubic\.coefficients"):
        model.configure_model()
