"""Hypotheses to WER tables."""
