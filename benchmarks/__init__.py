"""How fast the real command line is, beside loops written by hand: ``make bench``."""
