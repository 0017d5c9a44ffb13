import random

import numpy as np
import pytest
import torch

from firstlight import Houses, LinearRegression, Sine


def houses():
    return Houses(num_examples=95)  # ten batches, the last one smaller


def test_run_with_several_updates_at_a_time_is_bit_identical(pair, record):
    many, single = record(lambda: pair()[0], lambda: pair(whole=True)[1], updates=1)
    few, grouped = record(lambda: pair()[0], lambda: pair(whole=True)[1])
    assert grouped == single
    assert (many, few) == (16, 4)  # a quarter


class Drawing(LinearRegression):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * np.random.rand() * random.random() * torch.rand(())


class Normalizing(LinearRegression):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, x):
        return super().forward(self.norm(x))


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


class Stopping(LinearRegression):
    def training_step(self, batch, batch_idx):
        if self.global_step == 11:
            self.trainer.should_stop = True
        return super().training_step(batch, batch_idx)


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
        (Normalizing, houses),
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
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_models_of_users_see_and_log_the_same(model, data, every, record):
    _, single = record(model, data, updates=1, log_every_n_steps=every)
    count, grouped = record(model, data, log_every_n_steps=every)
    assert grouped == single
    assert count == 6


@pytest.mark.parametrize(("every", "minimum"), [(1, {}), (3, {}), (3, {"min_epochs": 2})])
def test_model_that_stops_the_training_takes_no_step_more(every, minimum, record):
    _, single = record(Stopping, houses, updates=1, log_every_n_steps=every, **minimum)
    _, grouped = record(Stopping, houses, log_every_n_steps=every, **minimum)
    assert grouped == single
