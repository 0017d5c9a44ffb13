"""Random numbers that depend on a key alone."""

import hashlib

import torch

__all__ = ["generator", "key_seed"]


def generator(*key: int) -> torch.Generator:
    """Return a generator whose numbers depend on ``key`` alone."""
    return torch.Generator().manual_seed(key_seed(*key))


def key_seed(*key: int) -> int:
    """Return a seed that depends on ``key`` alone; different keys give unrelated seeds."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())
