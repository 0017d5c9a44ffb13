"""``python -m firstlight`` is the command ``firstlight``."""

from firstlight.cli import main

main()
