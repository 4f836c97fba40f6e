"""fbank and MFCC on one core, and how near to Kaldi: ours against torchaudio and kaldi-native-fbank."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything reads it

from collections.abc import Callable, Iterator

import kaldi_native_fbank as knf
import numpy as np
import torch
from rows import Row, out_argument, pairs, write_rows
from torchaudio.compliance import kaldi
from torchaudio.functional import compute_deltas

from mt4ssl.data.features import make_extractor

RATE = 16000
SETTINGS = dict(dither=0.0, snip_edges=False, sample_frequency=RATE, high_freq=-400.0)
Extract = Callable[[np.ndarray], np.ndarray]
"""From samples (1, S) to features (T, D)."""


def utterances() -> list[np.ndarray]:
    """Five tones and noise, 1 to 15 seconds: two minutes in all."""
    rng = np.random.default_rng(0)
    result = []
    for seconds in range(1, 16):
        time = np.arange(seconds * RATE) / RATE
        tones = sum(0.1 * np.sin(2 * np.pi * frequency * time) for frequency in rng.uniform(100, 7000, 5))
        result.append((tones + 0.02 * rng.normal(size=len(time))).astype(np.float32)[None])
    return result


def with_deltas(static: torch.Tensor) -> np.ndarray:
    """Turn MFCC (T, 13) into (T, 39)."""
    deltas = compute_deltas(static.T)
    return torch.cat([static.T, deltas, compute_deltas(deltas)]).T.numpy()


def torchaudio_s(kind: str) -> Extract:
    if kind == "fbank":
        return lambda samples: kaldi.fbank(torch.from_numpy(samples), num_mel_bins=80, **SETTINGS).numpy()
    return lambda samples: with_deltas(kaldi.mfcc(torch.from_numpy(samples), num_ceps=13, use_energy=False, **SETTINGS))


def native(kind: str) -> Extract:
    """kaldi-native-fbank, Kaldi's C++ without Kaldi; its MFCC have their deltas from torchaudio."""
    make, options = (knf.OnlineFbank, knf.FbankOptions()) if kind == "fbank" else (knf.OnlineMfcc, knf.MfccOptions())
    options.frame_opts.dither, options.frame_opts.snip_edges = 0.0, False
    options.mel_opts.num_bins, options.mel_opts.high_freq = 80 if kind == "fbank" else 23, -400
    options.use_energy = False

    def extract(samples: np.ndarray) -> np.ndarray:
        stream = make(options)
        stream.accept_waveform(RATE, samples[0])
        stream.input_finished()
        frames = np.stack([stream.get_frame(number) for number in range(stream.num_frames_ready)])
        return frames if kind == "fbank" else with_deltas(torch.from_numpy(frames))

    return extract


def exact(kind: str) -> Extract:
    """torchaudio's in double precision: what all of them round."""
    single = torchaudio_s(kind)
    return lambda samples: single(samples.astype(np.float64))


def measure(kind: str, audio: list[np.ndarray]) -> Iterator[Row]:
    """Speed against the faster peer, and nearness to both."""
    extractor = make_extractor(kind)
    extracts: dict[str, Extract] = {
        "ours": lambda samples: extractor.extract(samples, RATE),
        "torchaudio": torchaudio_s(kind),
        "kaldi-native-fbank": native(kind),
    }
    runs = {
        name: (lambda extract=extract: [extract(samples) for samples in audio]) for name, extract in extracts.items()
    }
    values = {name: np.concatenate(run()) for name, run in runs.items()}
    truth = np.concatenate([exact(kind)(samples) for samples in audio])
    peers = {name: pairs(runs["ours"], runs[name], 15) for name in runs if name != "ours"}
    peer = min(peers, key=lambda name: peers[name][1])
    mine, other, ratio = peers[peer]
    total = sum(samples.size for samples in audio) / RATE
    work = f"{kind}, 15 utterances of 1 to 15 s, one core"
    note = ", ".join(f"{name} {total / times[1]:.0f}" for name, times in peers.items())
    yield Row(work, total / mine, "audio s/s", ">= 1 x", ratio >= 1, note, peer, total / other, ratio)
    for name in peers:
        far = np.abs(values["ours"] - values[name])
        rounding = {key: np.abs(values[key] - truth).max() for key in ("ours", name)}
        note = f"{(far > 1e-3).sum()} of {far.size} values beyond; from double precision ours is off by at most "
        note += f"{rounding['ours']:.1e}, {name} by {rounding[name]:.1e}"
        work, largest = f"{kind}, largest difference from {name}", float(far.max())
        yield Row(work, largest, "", "<= 1e-3", largest <= 1e-3, note)


def main() -> None:
    out = out_argument(__doc__ or "")
    torch.set_num_threads(1)
    audio = utterances()
    write_rows([row for kind in ("fbank", "mfcc") for row in measure(kind, audio)], out)


if __name__ == "__main__":
    main()
