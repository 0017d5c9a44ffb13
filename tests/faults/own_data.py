"""Data of a user's own, read example by example, with and without random changes; and a model with two parts."""

import random

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler

from firstlight import Loaded, Regression

__all__ = ["Drawn", "Headed", "Plain", "Points", "Shaken", "Shares", "States", "Streamed", "Weighted"]


class Rows(Dataset):
    def __init__(self, count, seed):
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Points(Loaded):
    """Points of two classes, 50 to train on."""

    classes = ("under", "over")

    def __init__(self, batch_size: int = 8, num_workers: int = 0, seed: int = 0, fold: int | None = None):
        super().__init__(batch_size, seed=seed, num_workers=num_workers, fold=fold)
        self.save_hyperparameters()

    def setup(self, stage):
        self.train, self.val, self.test = Rows(50, 0), Rows(20, 1), Rows(21, 2)
        self.hold_out_fold()


class Drawn(Points):
    """The same, each example with noise from all generators that there are."""

    def augment(self, example):
        x, y = example
        return x + torch.rand(()).item() + random.random() + np.random.random(), y


class Noisy(Rows):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + torch.rand(()), y


class Plain(LightningDataModule):
    """Plain Lightning: nothing here knows of firstlight."""

    def __init__(self, num_workers: int = 0):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        return DataLoader(Noisy(50, 0), batch_size=8, shuffle=True, num_workers=self.hparams.num_workers)

    def val_dataloader(self):
        return DataLoader(Rows(20, 1), batch_size=8)


class Shaken(Plain):
    """Noise in evaluation, too, and batches of several kinds, the last of a single example."""

    def val_dataloader(self):
        return DataLoader(Noisy(21, 1), batch_size=4, num_workers=self.hparams.num_workers)

    def test_dataloader(self):
        return DataLoader(Noisy(21, 2), batch_sampler=[[0], [1, 2, 3], [*range(4, 20)], [20]])


class Weighted(Plain):
    def train_dataloader(self):
        sampler = WeightedRandomSampler(torch.arange(1.0, 51), 50)
        return {"first": DataLoader(Noisy(50, 0), 8, sampler=sampler), "second": DataLoader(Rows(50, 1), 8)}


class Stream(IterableDataset):
    """Rows one after the other, with noise."""

    def __init__(self):
        self.rows, self.next = Noisy(50, 0), 0

    def __iter__(self):
        for index in range(50):
            yield self.rows[index]


class StreamWithState(Stream):
    """It goes on from its state, and each epoch starts elsewhere."""

    def __iter__(self):
        while True:
            self.next += 1
            yield self.rows[self.next * 7 % 50]
            if self.next % 50 == 0:
                return

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


class Share(StreamWithState):
    """The share of this process, which its state is a place in."""

    def __iter__(self):
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.next = self.next or rank
        while self.next < 50:
            self.next += world
            yield self.rows[self.next - world]
        self.next = 0


class Shares(Plain):
    def train_dataloader(self):
        return DataLoader(Share(), batch_size=4)


class Streamed(Plain):
    def train_dataloader(self):
        return DataLoader(Stream(), batch_size=8)


class States(Plain):
    def train_dataloader(self):
        return DataLoader(StreamWithState(), batch_size=8)


class Headed(Regression):
    """A backbone, which a callback may freeze, with batch normalization, and a head."""

    def __init__(self, lr: float = 0.003):
        super().__init__(lr)
        self.save_hyperparameters()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        self.head = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.backbone(x))

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=self.lr, momentum=0.9)
