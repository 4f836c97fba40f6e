"""What front-ends read: audio at 16 kHz, fbank every 10 ms, or the labels of a cut."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLING_RATE = 16000
FBANK_SHIFT = 0.01  # seconds
FBANK_BINS = 80
WINDOW = 60.0
"""Seconds of audio that are worked on at a time: longer utterances go in parts, so that memory stays what it is."""


@dataclass(frozen=True)
class Signal:
    """A kind of input."""

    rate: float
    """Samples, frames or labels a second."""
    bins: int
    """Values of each frame; 0 for plain samples, and for labels."""
    labels: str = ""
    """Name of the labels that are read: a field of the cuts; empty for audio and fbank."""
    classes: int = 0
    """Number of different labels."""

    def shape(self, rows: int, size: int) -> tuple[int, ...]:
        """Return the shape of a batch: (B, S) of samples, (B, T, bins) of frames, (B, T) of labels."""
        return (rows, size, self.bins) if self.bins else (rows, size)


WAVEFORM = Signal(SAMPLING_RATE, 0)
FBANK = Signal(round(1 / FBANK_SHIFT), FBANK_BINS)
