"""Updates of a raw loop on a GPU, eager or replayed from a CUDA graph."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Updates", "eager", "graphed", "seconds"]

Updates = Callable[[Tensor], None]
"""Takes an update for each batch of rows, given the numbers of the rows, of shape ``(updates, batch)``."""


def eager(net: nn.Module, x: Tensor, y: Tensor) -> Updates:
    """Return updates of a network on a split, each launched kernel by kernel; loss and accuracy are summed up."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    loss_sum, right = torch.zeros((), device=x.device), torch.zeros((), dtype=torch.long, device=x.device)

    def take(batches: Tensor) -> None:
        for rows in batches:
            labels = y.index_select(0, rows)
            logits = net(x.index_select(0, rows).float().div_(255))
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum.add_(loss.detach() * len(labels))
            right.add_((logits.argmax(1) == labels).sum())

    return take


def graphed(net: nn.Module, x: Tensor, y: Tensor, example: Tensor) -> Updates:
    """Return the same updates in one CUDA graph, for rows of the shape of an example."""
    take, rows = eager(net, x, y), example.clone()
    weights = [parameter.detach().clone() for parameter in net.parameters()]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        take(rows)  # libraries make what they need at their first call, which no graph may hold
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        take(rows)
    with torch.no_grad():
        for parameter, before in zip(net.parameters(), weights, strict=True):
            parameter.copy_(before)

    def replay(batches: Tensor) -> None:
        rows.copy_(batches)
        captured.replay()

    return replay


def seconds(take: Updates, order: Tensor) -> float:
    """Return the seconds of an epoch, given the rows of all its updates."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for batches in order:
        take(batches)
    torch.cuda.synchronize()
    return time.perf_counter() - start
