"""Readers of corpora, one module a layout."""
