"""The data modules, one kind of data a file: a new kind is one more line here."""

import typing

from firstlight.data.batches import *
from firstlight.data.fashion_mnist import *
from firstlight.data.image_folder import *
from firstlight.data.in_memory import *
from firstlight.data.loaders import *
from firstlight.data.synthetic import *
from firstlight.data.table import *

if not typing.TYPE_CHECKING:  # type checkers read the lines above
    __all__ = [name for name in dir() if name[0].isupper()]
