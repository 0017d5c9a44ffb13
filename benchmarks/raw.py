"""Loops written by hand that do the work of a run's epochs as fast as we can: the limit for a real run.

Data are bytes in memory, the order is drawn once an epoch, loss and accuracy are summed up in training, and the
validation images are scored after each epoch.
"""

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.own_data import PlainImages
from firstlight import FashionMNIST


class Lap(NamedTuple):
    """Seconds of an epoch.

    Args:
        steps: Its training steps alone.
        epoch: The whole epoch.
    """

    steps: float
    epoch: float


def classifier(
    data: FashionMNIST, widths: Sequence[int], lr: float, batch_size: int, epochs: int, device: str = "cpu"
) -> list[Lap]:
    """Train a perceptron, or softmax regression if it has no hidden layer; return the seconds of each epoch."""
    data.setup("fit")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    net = nn.Sequential(*layers[:-1]).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    (x, y), (x_val, y_val) = ((x.flatten(1).to(device), y.to(device)) for x, y in (data.train, data.val))
    laps = []
    for _ in range(epochs):
        start = time.perf_counter()
        loss_sum, right = torch.zeros((), device=device), torch.zeros((), dtype=torch.long, device=device)
        for index in torch.randperm(len(x), device=device).split(batch_size):
            images, labels = x.index_select(0, index).float().div_(255), y.index_select(0, index)
            logits = net(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(labels)
            right += (logits.argmax(1) == labels).sum()
        _ = loss_sum.item() / len(x), right.item() / len(x)
        steps = time.perf_counter() - start
        evaluate(net, x_val, y_val, batch_size)
        laps.append(Lap(steps, time.perf_counter() - start))
    return laps


def shortest_loaded_epoch(num_workers: int, *, augmented: bool) -> float:
    """Return the seconds of an epoch over a ``DataLoader``, after the first."""
    data = PlainImages(num_workers, augmented)
    train, val = data.train_dataloader(), data.val_dataloader()
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for images, labels in train:
            loss = F.cross_entropy(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            for images, labels in val:
                F.cross_entropy(net(images), labels)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def shortest_epoch(*widths: int, lr: float) -> float:
    """Return the seconds of an epoch of Fashion-MNIST, after the first."""
    return min(lap.epoch for lap in classifier(FashionMNIST(), widths, lr, 256, epochs=3)[1:])


@torch.inference_mode()
def evaluate(net: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, batch_size: int) -> tuple[float, float]:
    """Return the mean loss and the accuracy."""
    loss, right = torch.zeros((), device=x.device), torch.zeros((), dtype=torch.long, device=x.device)
    for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
        logits = net(images.float().div_(255))
        loss += F.cross_entropy(logits, labels, reduction="sum")
        right += (logits.argmax(1) == labels).sum()
    return loss.item() / len(x), right.item() / len(x)


def score_images(batch_size: int = 256) -> float:
    """Return the seconds to score the 10,000 test images with a 784-256-10 perceptron."""
    data = FashionMNIST()
    data.setup("test")
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    x, y = data.test[0].flatten(1), data.test[1]
    start = time.perf_counter()
    evaluate(net, x, y, batch_size)
    return time.perf_counter() - start


def documented_cubic(steps: int = 2000) -> float:
    """Return the seconds of D3's NumPy loop, as it is written there."""
    random = np.random.default_rng(0)
    start = time.perf_counter()
    x = np.linspace(-np.pi, np.pi, 2000)
    y = np.sin(x)
    a, b, c, d = random.standard_normal(4)
    for step in range(steps):
        prediction = a + b * x + c * x**2 + d * x**3
        loss = np.square(prediction - y).sum()
        if step % 100 == 99:
            str(loss)
        gradient = 2.0 * (prediction - y)
        a -= 1e-6 * gradient.sum()
        b -= 1e-6 * (gradient * x).sum()
        c -= 1e-6 * (gradient * x**2).sum()
        d -= 1e-6 * (gradient * x**3).sum()
    return time.perf_counter() - start


def main() -> None:
    """Run the loop named on the command line and print its seconds."""
    torch.set_num_threads(1)
    name = sys.argv[1]
    if name == "softmax":
        print(shortest_epoch(784, 10, lr=0.1))
    elif name == "mlp":
        print(shortest_epoch(784, 256, 10, lr=0.5))
    elif name == "network":
        print(shortest_epoch(784, 512, 512, 10, lr=0.1))
    elif name == "loaded":
        print(shortest_loaded_epoch(int(sys.argv[2]), augmented=sys.argv[3] == "augmented"))
    elif name == "evaluation":
        score_images()
        print(score_images())
    elif name == "cubic":
        print(documented_cubic())


if __name__ == "__main__":
    main()
