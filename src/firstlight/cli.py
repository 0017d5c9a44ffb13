"""Where projects that were made with firstlight 0.1 find the command; it is ``firstlight.main`` now."""

from firstlight import main

__all__ = ["main"]
