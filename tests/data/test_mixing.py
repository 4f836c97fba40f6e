"""Utterance mixing, found out from the mixed batch and the plain one: what was added, where, and how loud."""

import numpy as np
import pytest

from mt4ssl.data.features import make_extractor
from mt4ssl.data.mixing import add, mix_utterances
from mt4ssl.data.signals import FBANK, WAVEFORM

SIZE = 201
LOUDNESS = np.array([0.01, 0.1, 0.02, 1.0])  # of each utterance


def noise(shape):
    """Utterances as loud in every stretch as in the whole, so that the ratio of energies is that of any stretch."""
    rng = np.random.default_rng(0)
    if len(shape) == 2:
        return LOUDNESS[:, None] * rng.choice([-1.0, 1.0], shape)
    return np.log(LOUDNESS[:, None, None] ** 2 * rng.permuted(np.broadcast_to(np.arange(1.0, 81), shape), axis=2))


def find_stretch(added, others):
    """Return which other utterances, and from where on, `added` is in proportion to."""
    found = []
    for number, other in others:
        windows = np.lib.stride_tricks.sliding_window_view(other, len(added), axis=0)
        ratios = (added / np.moveaxis(windows, -1, 1)).reshape(len(windows), -1)
        found += [(number, start) for start in np.flatnonzero(np.ptp(ratios, 1) < 1e-6 * ratios[:, 0])]
    return found


@pytest.mark.parametrize("signal", [WAVEFORM, FBANK], ids=["waveform", "fbank"])
def test_what_is_added(signal):
    inputs = noise(signal.shape(4, SIZE))
    linear, power = (np.exp, np.asarray) if signal == FBANK else (np.asarray, np.square)
    decibels, sizes, starts, sources = [], [], [], []
    for seed in range(25):
        mixed = mix_utterances(inputs, signal, 1.0, np.random.default_rng(seed))
        for row, (before, after) in enumerate(zip(linear(inputs), linear(mixed))):
            places = np.flatnonzero(np.any((after != before).reshape(SIZE, -1), axis=1))
            sizes.append(len(places))
            if len(places) < 30:  # too short to be found
                continue
            assert (np.diff(places) == 1).all()
            added = (after - before)[places]
            ((source, start),) = find_stretch(added, [(n, x) for n, x in enumerate(linear(inputs)) if n != row])
            decibels.append(10 * np.log10(power(before).mean() / power(added).mean()))
            starts.append((places[0], start))
            sources.append((source - row) % 4)
    assert -5 < min(decibels) < -4 and 4 < max(decibels) < 5
    assert 0.45 * SIZE < max(sizes) <= SIZE / 2 and abs(np.mean(sizes) / SIZE - 0.25) < 0.03
    assert abs(np.corrcoef(np.transpose(starts))[0, 1]) < 0.4  # the two places have the length alone in common
    assert set(sources) == {1, 2, 3}


def test_how_many_are_mixed():
    inputs = noise((4, SIZE))
    rng = np.random.default_rng(0)
    changed = [np.any(mix_utterances(inputs, WAVEFORM, 0.2, rng) != inputs, axis=1).mean() for _ in range(1000)]
    assert abs(np.mean(changed) - 0.2 * 0.99) < 0.02  # one stretch of a hundred has no sample


def test_nothing_is_mixed():
    inputs = noise((4, SIZE))
    np.testing.assert_array_equal(mix_utterances(inputs, WAVEFORM, 0.0, np.random.default_rng(0)), inputs)
    alone = inputs[:1]
    np.testing.assert_array_equal(mix_utterances(alone, WAVEFORM, 1.0, np.random.default_rng(0)), alone)


def test_silence_is_not_made_louder():
    inputs = np.stack([np.zeros(SIZE), noise((4, SIZE))[3]]).astype(np.float32)
    mixed = mix_utterances(inputs, WAVEFORM, 1.0, np.random.default_rng(0))
    assert mixed.dtype == np.float32 and np.isfinite(mixed).all()
    np.testing.assert_allclose(mixed, inputs, atol=1e-4)


def test_fbank_of_a_sum_is_the_sum_of_energies():
    """The mean over ten seconds of two noises of different colour, in every bin, at three ratios."""
    rng = np.random.default_rng(0)
    x = 0.1 * rng.normal(size=160000).astype(np.float32)
    y = 0.1 * np.cumsum(rng.normal(size=160000)).astype(np.float32) / 100
    fbank = make_extractor("fbank")

    def extract(samples):
        return np.asarray(fbank.extract(samples[None], 16000), np.float64)

    for gain in (0.1, 1.0, 10.0):
        expected = extract(add(x, y, gain, WAVEFORM).astype(np.float32))
        mixed = add(extract(x), extract(y), gain, FBANK)
        np.testing.assert_allclose(np.exp(mixed).mean(0), np.exp(expected).mean(0), rtol=0.2)
