"""Arrays of utterances in the files that other tools read: Kaldi's ark and scp, and Lhotse's temporal arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from kaldiio import WriteHelper
from lhotse import NumpyFilesWriter
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from lhotse.features.io import FeaturesReader, register_reader

from mt4ssl.files import atomic_path


def write_ark(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write utterance ids with their matrices (T, C) as <path>.ark and <path>.scp."""
    ark, scp = path.with_name(f"{path.name}.ark"), path.with_name(f"{path.name}.scp")
    with atomic_path(ark) as new_ark, atomic_path(scp) as new_scp:
        with WriteHelper(f"ark,scp:{new_ark},{new_scp}") as writer:
            for name, array in arrays:
                writer(name, array)
        # The scp was written against the temporary ark.
        new_scp.write_text(new_scp.read_text(encoding="utf-8").replace(str(new_ark), str(ark)), encoding="utf-8")


def store_arrays(
    folder: Path, name: str, frame_shift: float | None, arrays: Iterable[tuple[Cut, np.ndarray]]
) -> list[Cut]:
    """Store arrays (T,) or (T, C) of cuts in a folder; return the cuts, which have them as the temporal array `name`.

    Lhotse loads `round(duration / frame_shift)` frames of it: not a last one that is mostly beyond the cut's end.
    Arrays without a frame shift have no times: they are plain arrays, of which all is loaded.
    """
    cuts = []
    with atomic_path(folder) as temporary:
        writer = NumpyFilesWriter(temporary)
        for cut, array in arrays:
            times = {"frame_shift": frame_shift, "temporal_dim": 0, "start": cut.start} if frame_shift else {}
            stored = writer.store_array(cut.id, array, **times)
            (stored.array if times else stored).storage_path = str(folder)
            setattr(cut, name, stored)
            cuts.append(cut)
    return cuts


@register_reader
class OffsetReader(FeaturesReader):
    """Lhotse's reader of arrays that stand after one another in a file, each as in a .npy file; keys are offsets."""

    name = "numpy_offsets"

    def __init__(self, storage_path: str | Path) -> None:
        self.path = storage_path

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        """Return an array (T, ...), or a part of it in time."""
        with open(self.path, "rb") as file:
            file.seek(int(key))
            return np.load(file)[left_offset_frames:right_offset_frames]


def store_labels(path: Path, name: str, frame_shift: float, labels: Iterable[tuple[Cut, np.ndarray]]) -> list[Cut]:
    """Store labels (T,) of cuts in one file; return the cuts, which have them as the temporal array `name`.

    A large corpus has more utterances than a file system should have files.
    """
    cuts = []
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for cut, array in labels:
            stored = Array(OffsetReader.name, str(path), str(file.tell()), list(array.shape))
            np.save(file, array)
            setattr(cut, name, TemporalArray(stored, 0, frame_shift, cut.start))
            cuts.append(cut)
    return cuts
