"""Tokens, lexicon and n-gram language models."""
