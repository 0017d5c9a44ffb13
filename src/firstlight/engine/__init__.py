"""Everything around a run: the command line, run folders, checkpoints, sweeps. The lessons do not know it."""
