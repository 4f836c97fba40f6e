"""Small corpora for stage 1, and what stage 1 makes of them."""

import contextlib
import io
from dataclasses import dataclass, field

import lhotse
import numpy as np
import pytest
import soundfile
import yaml

from mt4ssl.bin import prepare_manifests
from mt4ssl.data.problems import Problem
from mt4ssl.errors import UserError


def noise(seconds=0.5, rate=16000, channels=1):
    """Samples (S, channels) of quiet noise."""
    return np.random.default_rng(0).normal(scale=0.1, size=(round(seconds * rate), channels))


def tones(rate, *frequencies, seconds=1.0):
    """Samples (S, channels) with a tone in each channel."""
    return 0.3 * np.sin(2 * np.pi * np.outer(np.arange(round(seconds * rate)) / rate, frequencies))


def write_audio(path, samples=None, rate=16000, **options):
    """Write an audio file, half a second of noise if nothing else; return its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise() if samples is None else samples, rate, **options)
    return str(path)


@dataclass
class Outcome:
    """What stage 1 gave."""

    error: str = ""
    printed: str = ""
    report: list[Problem] = field(default_factory=list)
    recordings: lhotse.RecordingSet = ()
    supervisions: lhotse.SupervisionSet = ()

    @property
    def reasons(self):
        """Reason and what was done, by utterance."""
        return {row.id: (row.reason, row.done) for row in self.report}

    @property
    def texts(self):
        return {segment.id: segment.text for segment in self.supervisions}

    def load(self, name):
        """Samples (1, S) of an utterance, as training reads them."""
        segment = self.supervisions[name]
        return self.recordings[segment.recording_id].load_audio(
            channels=segment.channel, offset=segment.start, duration=segment.duration
        )


class Stage1:
    """Runs stage 1 in this process, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "conf/corpus.yaml"
        self.out = folder / "manifests"

    def prepare(self, splits, *options, split="train", **others):
        """Write conf/corpus.yaml, and prepare a split; of the split alone `splits` may be the layout."""
        splits = splits if split in splits else {split: splits}
        self.config.parent.mkdir(exist_ok=True)
        content = yaml.safe_dump({"splits": splits, "max_rejected": 1.0, **others}, allow_unicode=True)
        self.config.write_text(content, encoding="utf-8")
        return self.run(split, *options)

    def run(self, split="train", *options):
        """Prepare a split of the conf/corpus.yaml that is there. What is accepted must be what Lhotse holds valid."""
        command = ["", "--config", self.config, "--corpus", "c", "--split", split, "--out", self.out, "--nj", "1"]
        outcome, printed = Outcome(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr("sys.argv", [*map(str, command), *options])
            try:
                prepare_manifests.main()
            except UserError as error:
                outcome.error = str(error)
                assert outcome.error and "\n" not in outcome.error
        outcome.printed = printed.getvalue()
        report = self.out / "report.tsv"
        if report.exists():
            header, *lines = report.read_text(encoding="utf-8").splitlines()
            assert header.split("\t") == list(Problem._fields)
            outcome.report = [Problem(*line.split("\t")) for line in lines]
        if not outcome.error:
            outcome.recordings = lhotse.load_manifest(self.out / f"c_recordings_{split}.jsonl.gz")
            outcome.supervisions = lhotse.load_manifest(self.out / f"c_supervisions_{split}.jsonl.gz")
            lhotse.validate_recordings_and_supervisions(outcome.recordings, outcome.supervisions)
        return outcome
