"""The data modules."""

from firstlight.data.batches import Batches, InMemory
from firstlight.data.fashion_mnist import FashionMNIST
from firstlight.data.synthetic import Houses, PlantedNeuron, Sine

__all__ = ["Batches", "FashionMNIST", "Houses", "InMemory", "PlantedNeuron", "Sine"]
