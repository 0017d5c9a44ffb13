"""``python -m firstlight`` is the command ``firstlight``."""

from firstlight import main

if __name__ == "__main__":
    main()
