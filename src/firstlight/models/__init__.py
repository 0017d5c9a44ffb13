"""The documented models, and an ensemble of one of them."""

from firstlight.models.ensemble import SineEnsemble
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
    "SineEnsemble",
    "SoftmaxRegression",
    "TwoLayerNetwork",
]
