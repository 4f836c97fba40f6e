"""Training loop, optimiser, schedule, checkpoints and monitors."""
