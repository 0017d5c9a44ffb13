"""Random numbers that are a function of a key and of nothing else."""

import hashlib

import torch

__all__ = ["generator", "key_seed"]


def generator(*key: int) -> torch.Generator:
    """Return a generator whose numbers are a function of ``key`` and of nothing else."""
    return torch.Generator().manual_seed(key_seed(*key))


def key_seed(*key: int) -> int:
    """Return a seed that is a function of ``key``; different keys give unrelated seeds."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())
