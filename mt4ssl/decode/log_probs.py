"""Log-probabilities of a Kaldi ark, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import kaldiio
import numpy as np
import torch

from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.lines import read_lines


def load_log_probs(scp: str | Path, num_tokens: int) -> tuple[Mapping[str, np.ndarray], dict[str, int]]:
    """Return the matrices (T, V) of an scp file, each read when asked for, and T of each utterance.

    Every matrix is read once here, so that a damaged one, NaN or another V is named before decoding starts.
    """
    scp = require(scp, "python -m mt4ssl.bin.emit makes it")
    refuse_commands(scp)
    matrices = kaldiio.load_scp(str(scp))
    lengths = {}
    for utterance in matrices:
        try:
            matrix = matrices[utterance]
        except (OSError, ValueError, AssertionError, RuntimeError) as error:
            raise UserError(f"{scp}: cannot read utterance {utterance} ({error}); emit the log-probs again") from error
        if matrix.ndim != 2 or matrix.shape[1] != num_tokens:
            raise UserError(
                f"{scp}: utterance {utterance} has shape {matrix.shape}, tokens.txt has {num_tokens} tokens; "
                "decode with the lang dir of the model"
            )
        if np.isnan(matrix).any():
            raise UserError(f"{scp}: utterance {utterance} has NaN among its log-probs; the model has diverged")
        lengths[utterance] = len(matrix)
    if not lengths:
        raise UserError(f"{scp} names no utterance")
    return matrices, lengths


def refuse_commands(scp: Path) -> None:
    """Raise UserError where an scp file has a command in place of a file, as Kaldi's may: kaldiio would run it."""
    for line in read_lines(scp):
        name, *place = line.split()
        if place and "|" in (place[0][0], place[-1][-1]):
            raise UserError(f"{scp}: utterance {name} is the output of a command, which is not run: write it to a file")


def length_batches(lengths: Mapping[str, int], max_frames: int) -> Iterator[list[str]]:
    """Yield batches of ids, longest first, of at most `max_frames` padded frames; a longer one is alone."""
    batch: list[str] = []
    for utterance in sorted(lengths, key=lambda name: (-lengths[name], name)):
        if batch and lengths[batch[0]] * (len(batch) + 1) > max_frames:
            yield batch
            batch = []
        batch.append(utterance)
    if batch:
        yield batch


def pad(matrices: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 log-probs (B, T, V), zero-padded, and their lengths (B,)."""
    tensors = [torch.from_numpy(np.array(matrix, dtype=np.float32)) for matrix in matrices]
    lengths = torch.tensor([len(tensor) for tensor in tensors], dtype=torch.int32)
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths
