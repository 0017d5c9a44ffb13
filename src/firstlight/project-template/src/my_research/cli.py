"""The command ``my-research``: that of firstlight, with the classes of this project."""

from firstlight.cli import main as firstlight


def main() -> None:
    """Run the command line."""
    firstlight("my_research")
