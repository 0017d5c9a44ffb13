"""The documented models."""

from firstlight.models.linear import LinearRegression
from firstlight.models.mlp import MLP, NeuralNetwork
from firstlight.models.neuron import Neuron, TwoLayerNetwork
from firstlight.models.polynomial import AutogradCubic, DynamicPolynomial, LegendreCubic, ManualCubic
from firstlight.models.softmax import SoftmaxRegression

__all__ = [
    "MLP",
    "AutogradCubic",
    "DynamicPolynomial",
    "LegendreCubic",
    "LinearRegression",
    "ManualCubic",
    "NeuralNetwork",
    "Neuron",
    "SoftmaxRegression",
    "TwoLayerNetwork",
]
