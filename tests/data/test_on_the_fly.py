"""Features that are computed when they are read give what stored ones give, but for the loss of compression."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, LilcomChunkyWriter, RecordingSet, SupervisionSet
from sklearn.preprocessing import scale
from tones import tone_corpus

from mt4ssl.bin import compute_features, make_labels
from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, save_kmeans, train_kmeans
from mt4ssl.data.features import make_extractor
from mt4ssl.errors import UserError


def run(monkeypatch: pytest.MonkeyPatch, verb: object, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["verb", *map(str, arguments)])
    verb.main()


def test_kmeans_labels_without_stored_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tones").mkdir()
    cuts = CutSet.from_file(tone_corpus(tmp_path / "tones").cuts)
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    RecordingSet.from_recordings(cut.recording for cut in cuts).to_file(manifests / "tones_recordings_all.jsonl.gz")
    segments = SupervisionSet.from_segments(cut.supervisions[0] for cut in cuts)
    segments.to_file(manifests / "tones_supervisions_all.jsonl.gz")
    options = ["--type", "mfcc", "--corpus", "tones", "--split", "all", "--manifests", manifests, "--on-the-fly"]
    run(monkeypatch, compute_features, *options, "--out", tmp_path / "mfcc")
    manifest = tmp_path / "mfcc/tones_cuts_all.jsonl.gz"
    plain = CutSet.from_file(manifest)
    assert [path.name for path in (tmp_path / "mfcc").iterdir()] == [manifest.name]

    config = KMeansConfig(clusters=5)
    with LilcomChunkyWriter(tmp_path / "mfcc.lca") as writer:
        stored = CutSet.from_cuts(cut.compute_and_store_features(make_extractor("mfcc"), writer) for cut in plain)
    samples = [sample_frames(these, frame_features(config), 200, seed=0) for these in (plain, stored)]
    np.testing.assert_allclose(samples[0], samples[1], atol=0.5)
    cut = next(iter(plain))
    normalised = frame_features(replace(config, normalise=True))(cut)
    np.testing.assert_allclose(normalised, scale(frame_features(config)(cut)), atol=1e-3)

    save_kmeans(tmp_path / "kmeans", *train_kmeans(samples[0], config), len(samples[0]), config)
    out = tmp_path / "labels/tones_cuts_all.jsonl.gz"
    options = ["--kmeans", tmp_path / "kmeans", "--cuts", manifest, "--split", "all", "--out", out]
    run(monkeypatch, make_labels, "--features", manifest, *options)
    labels = {cut.id: cut.load_custom("kmeans") for cut in CutSet.from_file(out)}
    for cut in CutSet.from_file(out):
        assert cut.kmeans.frame_shift == 0.01
        assert len(labels[cut.id]) == round(cut.duration * 100)

    fewer = tmp_path / "fewer_cuts_all.jsonl.gz"
    plain.subset(first=3).to_file(fewer)
    with pytest.raises(UserError, match="all has 3 utterances with features, but 12 cuts"):
        run(monkeypatch, make_labels, "--features", fewer, *options)
    for cut in CutSet.from_file(out):  # what was there stays whole
        np.testing.assert_array_equal(cut.load_custom("kmeans"), labels[cut.id])

    turned = tmp_path / "turned_cuts_all.jsonl.gz"
    CutSet.from_cuts(reversed(list(plain))).to_file(turned)
    with pytest.raises(UserError, match="list the utterances of all in different orders"):
        run(monkeypatch, make_labels, "--features", turned, *options)


def test_features_and_labels_of_other_cuts_of_the_same_names_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tones").mkdir()
    cuts = CutSet.from_file(tone_corpus(tmp_path / "tones", utterances=2).cuts)
    manifests, fbank = tmp_path / "manifests", tmp_path / "fbank/tones_cuts_all.jsonl.gz"
    manifests.mkdir()
    RecordingSet.from_recordings(cut.recording for cut in cuts).to_file(manifests / "tones_recordings_all.jsonl.gz")
    config = KMeansConfig(clusters=5)
    for start, text in ((0.0, "A"), (0.2, "OTHER WORDS")):
        segments = [replace(cut.supervisions[0], start=start, duration=0.5, text=text) for cut in cuts]
        SupervisionSet.from_segments(segments).to_file(manifests / "tones_supervisions_all.jsonl.gz")
        options = ["--corpus", "tones", "--split", "all", "--manifests", manifests, "--out", fbank.parent]
        run(monkeypatch, compute_features, "--type", "fbank", *options)
        if start == 0:
            frames = sample_frames(CutSet.from_file(fbank), frame_features(config), 50, seed=0)
            save_kmeans(tmp_path / "kmeans", *train_kmeans(frames, config), len(frames), config)
        out = tmp_path / "labels/tones_cuts_all.jsonl.gz"
        options = ["--kmeans", tmp_path / "kmeans", "--features", fbank, "--cuts", fbank]
        run(monkeypatch, make_labels, *options, "--split", "all", "--out", out)
        for cut in (*CutSet.from_file(fbank), *CutSet.from_file(out)):
            assert (cut.start, cut.supervisions[0].text) == (start, text)
