"""Arrays of utterances in the files that other tools read: Kaldi's ark and scp, and Lhotse's temporal arrays."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from kaldiio import save_ark
from lhotse import NumpyFilesWriter
from lhotse.cut import Cut

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


def store_arrays(folder: Path, name: str, frame_shift: float, arrays: Iterable[tuple[Cut, np.ndarray]]) -> list[Cut]:
    """Store arrays (T,) or (T, C) of cuts in a folder; return the cuts, which have them as the temporal array `name`.

    Lhotse loads `round(duration / frame_shift)` frames of it: not a last one that is mostly beyond the cut's end.
    """
    cuts = []
    with atomic_path(folder) as temporary:
        writer = ArrayWriter(temporary)
        for cut, array in arrays:
            stored = writer.store_array(cut.id, array, frame_shift=frame_shift, temporal_dim=0, start=cut.start)
            stored.array.storage_path = str(folder)
            setattr(cut, name, stored)
            cuts.append(cut)
    return cuts
