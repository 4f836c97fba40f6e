"""Readers of corpora: one module and one entry of LAYOUTS each; the key names the layout in conf/corpus.yaml."""

from mt4ssl.data.layouts.base import Layout, Utterance
from mt4ssl.data.layouts.folder import Folder
from mt4ssl.data.layouts.kaldi import Kaldi
from mt4ssl.data.layouts.lhotse import LhotseManifests
from mt4ssl.data.layouts.librispeech import LibriSpeech
from mt4ssl.data.layouts.part import Part
from mt4ssl.data.layouts.table import Table

LAYOUTS: dict[str, type[Layout]] = {
    "audio": Folder,
    "kaldi": Kaldi,
    "lhotse": LhotseManifests,
    "table": Table,
    "librispeech": LibriSpeech,
    "part_of": Part,
}

__all__ = ["LAYOUTS", "Layout", "Part", "Utterance"]
