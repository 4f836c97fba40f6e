"""Multi-target self-supervised speech pre-training (MT4SSL, arXiv 2211.07321)."""

__version__ = "0.1.0"
