"""What stages 1 to 4 cost: rates that benchmarks/data_rates.py has measured, and what they come to for a corpus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

MEASURED = "CPU seconds of 2 x AMD EPYC while other work ran, commit 48579ac"
"""On what, and with which code."""
FLAC = 66.7e6
"""Bytes of an hour of audio."""
PROCESS = 0.5e9
"""Bytes of a process that has loaded what stages 1 to 4 use."""
COPY = 917.0
"""Bytes of $TMPDIR for an utterance, in each process of a training: its line of the manifest, uncompressed."""
LOADING = {"waveform": 2760.0, "fbank": 6760.0, "fbank, on the fly": 901.0}
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
    "manifests": Rates(shared=1.55, utterance=2.28e-4, memory=1920, manifests=180),
    "fbank": Rates(shared=5.77, utterance=6.37e-4, memory=5140, arrays=31.4e6, manifests=46.2),
    "mfcc": Rates(shared=6.01, utterance=6.02e-4, memory=5150, arrays=15.2e6, manifests=46),
    "kmeans": Rates(utterance=0.99e-4),
    "labels": Rates(shared=0.763, utterance=5.33e-4, memory=8480, arrays=0.758e6, manifests=57),
    "fbank, on the fly": Rates(utterance=4.57e-4, memory=2590, manifests=13.3),
    "mfcc, on the fly": Rates(utterance=4.47e-4, memory=2570, manifests=13.3),
    "labels, on the fly": Rates(shared=4.39, utterance=4.9e-4, memory=6570, arrays=0.758e6, manifests=38),
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
