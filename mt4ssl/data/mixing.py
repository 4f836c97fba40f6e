"""Utterance mixing (WavLM): a stretch of another utterance is laid over one, whose labels stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mt4ssl.data.signals import Signal
from mt4ssl.ranges import Share

LONGEST = 0.5  # of the crop
DECIBELS = 5.0
SILENCE = 1e-10  # no energy counts as less: that of one step of 16 bits is 9e-10


@dataclass
class MixingConfig:
    """How often another utterance of the batch is heard at the same time; the default mixes none.

    It is heard for up to half of the time, at a random place, from 5 dB softer to 5 dB louder than the utterance.
    Labels stay those of the utterance. A teacher or another model hears both, and random projections are of both.
    """

    prob: Share = 0.0
    """Probability that an utterance of a training batch gets a stretch of another one; 0 mixes none, WavLM has 0.2."""


def mix_utterances(inputs: np.ndarray, signal: Signal, prob: float, rng: np.random.Generator) -> np.ndarray:
    """Return a batch, waveforms (B, S) or fbank (B, T, 80), with stretches of its utterances laid over others of it.

    Samples of waveforms are added up. Of fbank the energies are: that is the fbank of the sum of both waveforms but
    for their phases, which are not stored. The ratio in dB is that of the mean energies of both crops, in fbank of the
    energies in its bins.
    """
    rows, size = inputs.shape[:2]
    if rows == 1 or prob == 0:
        return inputs
    mixed = inputs.copy()
    for row in np.flatnonzero(rng.random(rows) < prob):
        other = (row + rng.integers(1, rows)) % rows
        length = int(rng.uniform(0, LONGEST * size))
        here, there = rng.integers(0, size - length + 1, 2)
        ratio = 10 ** (rng.uniform(-DECIBELS, DECIBELS) / 10)
        gain = energy(inputs[row], signal) / energy(inputs[other], signal) / ratio
        stretch = inputs[other, there : there + length]
        mixed[row, here : here + length] = add(inputs[row, here : here + length], stretch, gain, signal)
    return mixed


def energy(x: np.ndarray, signal: Signal) -> float:
    """Return the mean energy of a waveform (S,) or of fbank (T, 80), which holds logarithms of energies."""
    return max(SILENCE, float((np.exp(x) if signal.bins else np.square(x)).mean()))


def add(x: np.ndarray, y: np.ndarray, gain: float, signal: Signal) -> np.ndarray:
    """Add to x, a waveform or fbank, a y with `gain` times the energy that it has."""
    return np.logaddexp(x, y + np.log(gain)) if signal.bins else x + np.sqrt(gain) * y
