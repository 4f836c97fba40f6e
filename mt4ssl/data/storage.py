"""Arrays of utterances in the files that other tools read: Kaldi's ark and scp, and Lhotse's temporal arrays."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from kaldiio import save_ark
from lhotse import NumpyFilesWriter
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from lhotse.features.io import FeaturesReader, register_reader

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path


def write_ark(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write utterance ids with their matrices (T, C) as <path>.ark and <path>.scp."""
    ark, scp = path.with_name(f"{path.name}.ark"), path.with_name(f"{path.name}.scp")
    with atomic_path(ark) as new_ark, atomic_path(scp) as new_scp:
        # Open files, not their names, of which kaldiio takes some for commands, or for two.
        with new_ark.open("wb") as ark_file, new_scp.open("w", encoding="utf-8") as scp_file:
            for name, array in arrays:
                save_ark(ark_file, {name: array}, scp=scp_file)
        # The scp was written against the temporary ark.
        new_scp.write_text(new_scp.read_text(encoding="utf-8").replace(str(new_ark), str(ark)), encoding="utf-8")


def npy(array: np.ndarray) -> bytes:
    """Return the content of a .npy file: numpy itself may write half of it to a full disk without a word."""
    content = BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


class ArrayWriter(NumpyFilesWriter):
    """Lhotse's writer of .npy files, which says so when the disk is full."""

    def write(self, key: str, value: np.ndarray) -> str:
        with self.io.open_fileobj(f"{key}.npy", "w", add_subdir=True) as (file, path):
            file.write(npy(value))
        return "/".join(Path(path).parts[-2:])


def store_arrays(
    folder: Path, name: str, frame_shift: float | None, arrays: Iterable[tuple[Cut, np.ndarray]]
) -> list[Cut]:
    """Store arrays (T,) or (T, C) of cuts in a folder; return the cuts, which have them as the temporal array `name`.

    Lhotse loads `round(duration / frame_shift)` frames of it: not a last one that is mostly beyond the cut's end.
    Arrays without a frame shift have no times: they are plain arrays, of which all is loaded.
    """
    cuts = []
    with atomic_path(folder) as temporary:
        writer = ArrayWriter(temporary)
        for cut, array in arrays:
            if "/" in cut.id:
                raise UserError(f"{cut.id!r} cannot be the name of a file: give the cut an id without slashes")
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
            file.write(npy(array))
            setattr(cut, name, TemporalArray(stored, 0, frame_shift, cut.start))
            cuts.append(cut)
    return cuts
