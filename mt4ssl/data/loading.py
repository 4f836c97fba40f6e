"""What the datasets of pre-training and of CTC share: cuts in, batches of tensors out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from lhotse.array import Array
from lhotse.cut import Cut
from lhotse.features.base import FeatureExtractor
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import mt4ssl.data.storage  # noqa: F401  (Lhotse learns to read labels)
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.data.signals import FBANK_BINS, WAVEFORM, Signal
from mt4ssl.errors import SHARED_MEMORY, UserError
from mt4ssl.files import require

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Batch:
    """One micro-batch, padded where its cuts differ in length."""

    inputs: Tensor
    """Waveforms (B, S), fbank (B, T, 80) or labels (B, T)."""
    lengths: Tensor
    """Samples, fbank frames or labels (B,)."""
    seconds: float
    """Seconds of audio."""

    def to(self, device: torch.device) -> Self:
        """Return the batch with its tensors on a device, whose copies need not be done yet where memory is pinned."""
        return self._with_tensors(partial(Tensor.to, device=device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the batch in memory that a GPU can copy from while the CPU goes on; DataLoader calls this."""
        return self._with_tensors(Tensor.pin_memory)

    def share_memory(self) -> None:
        """Move the tensors to memory that other processes can read."""
        self._with_tensors(lambda x: x.share_memory_() if x.numel() else x)  # nothing cannot be shared, and need not be

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: _change(value, change) for name, value in vars(self).items()})


def _change(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, dict):
        return {key: _change(item, change) for key, item in value.items()}
    return change(value) if isinstance(value, Tensor) else value


class Frontend(Protocol):
    """What data must know of a front-end: what it reads, and the frames that come of it."""

    @property
    def reads(self) -> Signal: ...

    @property
    def frame_shift(self) -> float: ...

    def frames(self, size: int) -> int: ...


def read_cuts(path: str, min_seconds: float = 0.0) -> tuple[Cuts, Cuts]:
    """Open the cuts of at least `min_seconds`; return them and the shorter ones."""
    cuts = Cuts.read(require(path, "made by an earlier stage"))
    long_enough = cuts.durations >= min_seconds
    if not long_enough.any():
        raise UserError(f"{path}: none of {len(cuts)} cuts lasts {min_seconds} s")
    return cuts.take(long_enough), cuts.take(~long_enough)


@cache
def fbank_extractor() -> FeatureExtractor:
    """Return the one that computes all fbank: its filters are made once."""
    return make_extractor("fbank")


def input_size(cut: Cut, signal: Signal) -> int:
    """Return how many samples, fbank frames or labels a front-end reads of a cut."""
    if signal.labels and not has_times(cut, signal.labels):
        return getattr(cut, signal.labels).shape[0]
    return int(cut.duration * signal.rate)


def load_input(cut: Cut, signal: Signal) -> np.ndarray:
    """Return what a front-end reads of a cut: samples (S,), fbank (T, 80), computed where not stored, or labels (T,).

    Raises UserError naming the cut, and its file, if it cannot be read or has values that are no numbers.
    """
    if signal.labels:
        return load_codes(cut, signal)
    try:
        if signal == WAVEFORM:
            x = cut.load_audio()[0]
        else:
            stored = cut.num_features == FBANK_BINS
            x = cut.load_features() if stored else cut.compute_features(fbank_extractor())
    except Exception as error:  # lhotse and libsndfile raise many types, all about this one cut
        raise UserError(f"cannot read {cut.id}: {error}".splitlines()[0]) from error
    return check_finite(x, cut)


def has_times(cut: Cut, name: str) -> bool:
    """Whether the labels of that name are at known times, or a sequence of tokens; UserError if the cut has none."""
    if not cut.has_custom(name):
        raise UserError(f"cut {cut.id} has no {name!r} labels: run stage 4 (labels), or mt4ssl.bin.make_tokens")
    return not isinstance(getattr(cut, name), Array)


def load_labels(cut: Cut, name: str, shift: float) -> np.ndarray:
    """Return the labels of a cut at the start of each frame of `shift` seconds, or all tokens without times (T,).

    Raises UserError if the cut has none, or there is no label at the start of a frame.
    """
    if not has_times(cut, name):
        return cut.load_custom(name)
    stride = shift / getattr(cut, name).frame_shift
    if abs(stride - round(stride)) > 1e-3 or stride < 1:
        raise UserError(f"labels {name!r} every {getattr(cut, name).frame_shift} s do not fit frames every {shift} s")
    return cut.load_custom(name)[:: round(stride)]


def load_codes(cut: Cut, signal: Signal) -> np.ndarray:
    """Return the labels of a cut that a front-end reads (T,); UserError if it does not know one of them."""
    labels = load_labels(cut, signal.labels, 1 / signal.rate).astype(np.int64)
    greatest = labels.max(initial=0)
    if greatest >= signal.classes:
        raise UserError(
            f"cut {cut.id} has {signal.labels!r} {greatest}, but model.frontend.classes is {signal.classes}: set it to "
            "the number of different labels"
        )
    return labels


def check_finite(x: np.ndarray, cut: Cut) -> np.ndarray:
    """Return samples or features of a cut; UserError naming its file if some are NaN or infinite."""
    if np.isfinite(x).all():
        return x
    recording = getattr(cut, "recording", None)
    file = f" ({recording.sources[0].source})" if recording else ""
    raise UserError(f"{cut.id}{file} has samples or features that are no numbers (NaN or infinite): leave it out")


def leave_signals_to_the_training(_: int) -> None:
    """Let a worker go on when a whole group of processes is signalled, until the training has finished its update."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def share(batch: Any) -> Any:
    """Move the tensors of a batch to shared memory; UserError where there is no room in it.

    torch would do it when the batch is sent, in a thread whose errors nobody sees: the training would wait for ever.
    """
    try:
        batch.share_memory()
    except RuntimeError as error:
        raise UserError(f"a batch does not fit into shared memory: {SHARED_MEMORY}") from error
    return batch


def load_steps(dataset: Dataset, numbers: Iterable[int], workers: int) -> Generator[Any]:
    """Iterate over the batches dataset[number] for the given numbers, which `workers` processes prepare ahead of time.

    Shared memory holds at most two batches of each worker (torch's default), and the one in use. Where there is a GPU,
    they go on into pinned memory, from which it copies while the CPU does other things.
    """
    loader = DataLoader(
        dataset, sampler=numbers, batch_size=None, num_workers=workers, pin_memory=torch.cuda.is_available(),
        worker_init_fn=leave_signals_to_the_training, collate_fn=share if workers else None,
    )  # fmt: skip
    prepared = iter(loader)
    try:
        yield from prepared
    except UserError as error:  # torch puts the traceback of a worker before the message
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from error
    finally:
        if workers:  # an error that is on its way keeps them, and this process would wait for them at its end
            prepared._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
