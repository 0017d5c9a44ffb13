"""The models and data of this project; configs name the classes listed here."""

from my_research.data import TwoMoons
from my_research.models import SmallMLP

__all__ = ["SmallMLP", "TwoMoons"]
