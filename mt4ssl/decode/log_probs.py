"""Log-probabilities of a Kaldi ark, in batches of similar length, and the prior of the tokens in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import kaldiio
import numpy as np
import torch

from mt4ssl.errors import UserError
from mt4ssl.files import require, write_lines
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


def write_prior(path: Path, matrices: Iterable[np.ndarray], symbols: Sequence[str]) -> None:
    """Write one `token log-prior` per line: the log of its mean posterior over all frames of log-probs (T, V).

    Kaldi's `nnet-adjust-priors` takes the same mean for the priors of hybrid systems.
    """
    total, frames = np.full(len(symbols), -np.inf), 0
    for matrix in matrices:
        total = np.logaddexp.reduce(np.vstack([total, matrix]), axis=0)
        frames += len(matrix)
    write_lines(path, (f"{symbol} {value:.6f}" for symbol, value in zip(symbols, total - np.log(max(frames, 1)))))


def read_prior(path: Path, symbols: Sequence[str]) -> np.ndarray:
    """Return the log-priors (V,) of a file that `write_prior` made; UserError if its tokens are not `symbols`."""
    fields = [line.split() for line in read_lines(require(path, "python -m mt4ssl.bin.emit makes it"))]
    try:
        prior = {symbol: float(value) for symbol, value in fields}
    except ValueError as error:
        raise UserError(
            f"{path}: expected `token log-prior` on each line ({error}); emit the log-probs again"
        ) from error
    if list(prior) != list(symbols) or not np.isfinite(list(prior.values())).all():
        raise UserError(
            f"{path} lacks a finite log-prior of each of the {len(symbols)} tokens: use the same model's file"
        )
    return np.array(list(prior.values()))


def log_prob_offsets(
    symbols: Sequence[str], blank_penalty: float, prior: Path | None, prior_scale: float
) -> np.ndarray:
    """Return what a search adds to every frame's log-probs: (V,), `-blank_penalty` and `-prior_scale * log-prior`.

    Raises UserError for a scale without a prior.
    """
    if prior_scale and not prior:
        raise UserError(f"a prior scale of {prior_scale:g} needs a prior: a SPLIT.prior of stage 9 (emit)")
    offsets = np.zeros(len(symbols), np.float32)
    offsets[0] = -blank_penalty
    return offsets - prior_scale * read_prior(prior, symbols) if prior else offsets
