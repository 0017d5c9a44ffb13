"""The command ``my-research``: firstlight's, with this project's classes."""

import firstlight


def main() -> None:
    """Run the command line."""
    firstlight.main("my_research")
