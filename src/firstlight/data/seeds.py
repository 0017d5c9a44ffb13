"""Random numbers that depend on a key alone."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.random import mtrand

__all__ = ["generator", "key_seed", "nth_seed", "own_random_numbers", "seed_generators"]

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples lie far apart, however many there are


def generator(*key: int) -> torch.Generator:
    """Return a generator whose numbers depend on ``key`` alone."""
    return torch.Generator().manual_seed(key_seed(*key))


def key_seed(*key: int) -> int:
    """Return a seed that depends on ``key`` alone; different keys give unrelated seeds."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())


def nth_seed(seed: int, number: int) -> int:
    """Return the seed of step or example ``number``, a sixth of a ``key_seed``'s time after one."""
    return (seed + number * GOLDEN) % 2**64


def seed_generators(seed: int) -> None:
    """Seed PyTorch's, Python's and NumPy's global generators on the CPU."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed does the same, a hundred times slower
    random.seed(seed >> 32)
    np.random.seed(seed >> 32)


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Let the global generators be seeded and drawn from; afterwards they go on where they were."""
    torch_state, python_state = torch.default_generator.get_state(), random.getstate()
    numpy_generator = mtrand.get_bit_generator()
    mtrand.set_bit_generator(_NUMPY)  # to save NumPy's state takes 30 us
    try:
        yield
    finally:
        torch.default_generator.set_state(torch_state)
        random.setstate(python_state)
        mtrand.set_bit_generator(numpy_generator)


_NUMPY = np.random.MT19937(0)
