"""What the tests of the command line share."""

CUBIC = ("--config", "autograd_cubic", "--config", "presets/limit", "--data.num_points", "50")
