"""Readers of corpora: one module and one entry of LAYOUTS each; the key names the layout in conf/corpus.yaml."""

from mt4ssl.data.layouts.base import Layout, Utterance

LAYOUTS: dict[str, type[Layout]] = {}

__all__ = ["LAYOUTS", "Layout", "Utterance"]
