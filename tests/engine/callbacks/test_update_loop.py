import random

import numpy as np
import pytest
import torch

from firstlight import FashionMNIST, Houses, LinearRegression, PlantedNeuron, Sine, models


def houses():
    return Houses(num_examples=95)  # ten batches, the last one smaller


WHOLE = {"num_points": 40, "repeats": 10}
PAIRS = {
    "ManualCubic": (lambda: models.ManualCubic(1e-4), lambda _: Sine(**WHOLE)),
    "AutogradCubic": (lambda: models.AutogradCubic(1e-4), lambda _: Sine(num_points=40, batch_size=10, repeats=3)),
    "LegendreCubic": (models.LegendreCubic, lambda _: Sine(**WHOLE)),
    "DynamicPolynomial": (models.DynamicPolynomial, lambda _: Sine(**WHOLE)),
    "SineEnsemble": (lambda: models.SineEnsemble(3, 1e-4), lambda _: Sine(**WHOLE)),
    "Neuron": (models.Neuron, lambda _: PlantedNeuron(num_examples=90, batch_size=10)),
    "TwoLayerNetwork": (
        models.TwoLayerNetwork,
        lambda _: Sine(num_points=90, num_powers=3, scale_target=True, batch_size=10),
    ),
    "LinearRegression": (models.LinearRegression, lambda _: Houses(num_examples=90)),
    "SoftmaxRegression": (models.SoftmaxRegression, lambda root: FashionMNIST(root, batch_size=5)),
    "MLP": (
        lambda: models.MLP(hidden_dims=[8], dropout=0.5, batch_norm=True),
        lambda root: FashionMNIST(root, batch_size=5),
    ),
    "NeuralNetwork": (models.NeuralNetwork, lambda root: FashionMNIST(root, batch_size=5)),
}


@pytest.mark.parametrize("name", models.__all__)
def test_run_with_several_updates_at_a_time_is_bit_identical(name, record, fashion_root):
    model, data = PAIRS[name]
    many, single = record(model, lambda: data(str(fashion_root)), updates=1)
    few, grouped = record(model, lambda: data(str(fashion_root)))
    assert grouped == single
    assert few == 2 * -(-many // 8)  # a quarter in each of the two epochs, the last of them smaller


class Drawing(LinearRegression):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * np.random.rand() * random.random() * torch.rand(())


class Counting(LinearRegression):
    def training_step(self, batch, batch_idx):
        loop, batches = self.trainer.fit_loop, self.trainer.num_training_batches
        return super().training_step(batch, batch_idx) * (batch_idx + loop.batch_idx + loop.total_batch_idx) / batches


class Logging(LinearRegression):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("mine", loss, on_step=True, on_epoch=True)
        return loss


class Short(LinearRegression):
    def training_step(self, batch):
        return super().training_step(batch, 0)


class ReturningDict(LinearRegression):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx), "more": 1}


class Skipping(LinearRegression):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx % 3 == 0 else loss


class Before(LinearRegression):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        return batch[0] + torch.rand(()), batch[1]


class After(LinearRegression):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch[0] + torch.rand(()), batch[1]


class Newton(LinearRegression):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), max_iter=3)


class Own(torch.optim.SGD):
    @torch.no_grad()
    def step(self, *, closure):
        loss = closure()
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_(parameter.grad, alpha=0.1)
        return loss


class Descending(LinearRegression):
    def configure_optimizers(self):
        return Own(self.parameters(), lr=0.1)


class Unchanging(LinearRegression):
    def configure_optimizers(self):
        return None


class Nested(Houses):
    def train_dataloader(self):
        return {"houses": super().train_dataloader()}


class Unnesting(LinearRegression):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch["houses"], batch_idx)


class Foreign(Houses):
    def train_dataloader(self):
        x, y = self.train
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x.float(), y.float()), 10, shuffle=True)


@pytest.mark.filterwarnings("ignore:.training_step. returned .None.")
@pytest.mark.filterwarnings("ignore:.*It will use the implementation from `LightningModule` instance")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*`LightningModule.configure_optimizers` returned `None`")
@pytest.mark.parametrize(
    ("model", "data"),
    [
        (Drawing, houses),
        (Counting, houses),
        (Logging, houses),
        (Short, houses),
        (ReturningDict, houses),
        (Skipping, houses),
        (Before, houses),
        (After, lambda: Sine(num_points=20, num_powers=2, repeats=10)),
        (Newton, houses),
        (Descending, houses),
        (Unchanging, houses),
        (Unnesting, lambda: Nested(num_examples=95)),
        (LinearRegression, lambda: Foreign(num_examples=95)),
    ],
)
@pytest.mark.parametrize("every", [1, 3])
def test_models_of_users_see_and_log_the_same(model, data, every, record):
    _, single = record(model, data, updates=1, log_every_n_steps=every)
    count, grouped = record(model, data, log_every_n_steps=every)
    assert grouped == single
    assert count == 6
