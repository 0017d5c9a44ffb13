"""The data modules."""

from firstlight.data.batches import Batches
from firstlight.data.fashion_mnist import FashionMNIST
from firstlight.data.in_memory import InMemory
from firstlight.data.synthetic import Houses, PlantedNeuron, Sine

__all__ = ["Batches", "FashionMNIST", "Houses", "InMemory", "PlantedNeuron", "Sine"]
