"""The command line: ``main`` finds a command, and one file each does it."""
