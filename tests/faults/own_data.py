"""Data of a user's own: a data set that is read example by example, with and without random changes."""

import random

import numpy as np
import torch
from torch.utils.data import Dataset

from firstlight import Loaded

__all__ = ["Drawn", "Points"]


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
