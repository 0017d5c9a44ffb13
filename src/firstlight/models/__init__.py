"""The models, one family a file: a new family is one more line here."""

import typing

from firstlight.models.ensemble import *
from firstlight.models.linear import *
from firstlight.models.mlp import *
from firstlight.models.neuron import *
from firstlight.models.polynomial import *
from firstlight.models.softmax import *

if not typing.TYPE_CHECKING:  # type checkers read the lines above
    __all__ = [name for name in dir() if name[0].isupper()]
