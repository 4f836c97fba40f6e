"""A corpus of a few seconds: each word is a tone."""

from types import SimpleNamespace

import numpy as np
import soundfile
from lhotse import CutSet, LilcomChunkyWriter, NumpyFilesWriter, Recording
from lhotse.supervision import SupervisionSegment

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import write_label_config
from mt4ssl.data.features import make_extractor

WORDS = {"A": 440.0, "B": 880.0, "C": 1760.0}


def tone_corpus(folder, utterances=12, least_words=3):
    """Utterances in which each word is a tone of 0.3 s, with labels that tell the tone."""
    rng = np.random.default_rng(0)
    cuts = []
    with LilcomChunkyWriter(folder / "feats.lca") as features:
        labels = NumpyFilesWriter(folder / "labels")
        for number in range(utterances):
            words = rng.choice(list(WORDS), least_words + number % 3)
            time = np.arange(4800) / 16000
            samples = np.concatenate([np.sin(2 * np.pi * WORDS[word] * time) for word in words]) * 0.3
            path = folder / f"{number}.wav"
            soundfile.write(path, samples + rng.normal(size=len(samples)) * 0.01, 16000)
            cut = Recording.from_file(path).to_cut().with_id(f"utt{number}")
            text = " ".join(words)
            cut.supervisions = [SupervisionSegment(f"utt{number}", cut.recording_id, 0, cut.duration, text=text)]
            cut = cut.compute_and_store_features(make_extractor("fbank"), features)
            tones = np.repeat([list(WORDS).index(word) for word in words], 30).astype(np.int16)
            cut.kmeans = labels.store_array(cut.id, tones, frame_shift=0.01, temporal_dim=0, start=0)
            cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    write_label_config(KMeansConfig(clusters=3), folder)
    (folder / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nB 3\nC 4\n", encoding="utf-8")
    return SimpleNamespace(folder=folder, cuts=str(folder / "cuts.jsonl.gz"))
