"""What stages 1 to 4 cost: rates that benchmarks/data_rates.py has measured, and what they come to for a corpus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

MEASURED = "CPU seconds of 2 x AMD EPYC while other work ran, commit 13aa87b"
"""On what, and with which code."""
FLAC = 66.7e6
"""Bytes of an hour of audio."""
PROCESS = 0.5e9
"""Bytes of a process that has loaded what stages 1 to 4 use."""
COPY = 917.0
"""Bytes of $TMPDIR for an utterance, in each process of a training: its line of the manifest, uncompressed."""
LOADING = {"waveform": 2440.0, "fbank": 6470.0, "fbank, on the fly": 952.0}
"""Seconds of audio that a data worker of a training reads in a second, by what the front-end reads."""
UTTERANCES = 292.7
"""In an hour of LibriSpeech: 281,241 in the 960.9 hours of its three training sets."""


@dataclass(frozen=True)
class Corpus:
    """How much there is of a corpus."""

    hours: float
    utterances: float

    @classmethod
    def like_librispeech(cls, hours: float) -> Corpus:
        """Return so many hours in utterances of 12.3 s."""
        return cls(hours, hours * UTTERANCES)

    @classmethod
    def read(cls, manifest: Path) -> Corpus:
        """Count what a manifest of cuts or supervisions lists."""
        from mt4ssl.data.cuts import Cuts  # with Lhotse, which takes seconds to load

        durations = Cuts.read(manifest).durations
        return cls(float(durations.sum()) / 3600, len(durations))


@dataclass(frozen=True)
class Rates:
    """What a step of stages 1 to 4 takes: seconds of a core, and bytes."""

    shared: float = 0.0
    """Seconds for an hour of audio, which the workers share."""
    alone: float = 0.0
    """Seconds for an hour of audio, which the step's first process takes alone."""
    utterance: float = 0.0
    """Seconds for an utterance, which the first process takes alone."""
    memory: float = 0.0
    """Bytes that the first process holds of an utterance."""
    arrays: float = 0.0
    """Bytes that are written for an hour of audio."""
    manifests: float = 0.0
    """Bytes that are written for an utterance."""

    def hours(self, corpus: Corpus, workers: int = 1) -> float:
        """Return the hours that so many workers take, where each has a core and nothing keeps it waiting."""
        seconds = corpus.hours * (self.shared / workers + self.alone) + corpus.utterances * self.utterance
        return seconds / 3600

    def bytes_in_memory(self, corpus: Corpus) -> float:
        """Return what the first process needs; a worker needs little more than PROCESS."""
        return PROCESS + corpus.utterances * self.memory

    def bytes_on_disk(self, corpus: Corpus) -> float:
        """Return what is written."""
        return corpus.hours * self.arrays + corpus.utterances * self.manifests


STEPS = {
    "manifests": Rates(shared=1.46, utterance=1.7e-4, memory=1900, manifests=180),
    "fbank": Rates(shared=5.69, utterance=4.03e-4, memory=589, arrays=31.4e6, manifests=46.2),
    "mfcc": Rates(shared=5.24, utterance=4.22e-4, memory=595, arrays=15.2e6, manifests=46),
    "kmeans": Rates(utterance=0.97e-4),
    "labels": Rates(shared=0.773, utterance=0.85e-4, memory=294, arrays=0.758e6, manifests=57),
    "fbank, on the fly": Rates(utterance=5.13e-4, memory=446, manifests=13.3),
    "mfcc, on the fly": Rates(utterance=3.93e-4, memory=448, manifests=13.3),
    "labels, on the fly": Rates(shared=4.85, utterance=0.56e-4, memory=316, arrays=0.758e6, manifests=38),
}


def data_steps(on_the_fly: bool, labels: bool = True) -> dict[str, Rates]:
    """Return the steps of stages 1 to 4, the last two with MFCC, by what tables call them."""
    kind = ", on the fly" if on_the_fly else ""
    steps = {"1 manifests": STEPS["manifests"], f"2 fbank{kind}": STEPS[f"fbank{kind}"]}
    if labels:
        # One process of stage 3 gets the MFCC of a tenth of the audio, for which it takes as long as stage 4.
        kmeans = replace(STEPS["kmeans"], alone=STEPS[f"labels{kind}"].shared / 10)
        steps |= {f"2 mfcc{kind}": STEPS[f"mfcc{kind}"], "3 kmeans": kmeans, "4 labels": STEPS[f"labels{kind}"]}
    return steps


def brief(value: float) -> str:
    """Return a number of hours or GB as tables show it."""
    if 0 < value < 0.05:
        return "< 0.1"
    return f"{value:.1f}" if value < 99.5 else f"{value:,.0f}"
