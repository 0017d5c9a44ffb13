"""The command ``my-research``: firstlight's, with this project's classes."""

from firstlight.cli import main as firstlight


def main() -> None:
    """Run the command line."""
    firstlight("my_research")
