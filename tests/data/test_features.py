"""Features against torchaudio's Kaldi functions; stored, resumed, refused."""

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from lhotse import CutSet, Recording

from mt4ssl.data.features import compute_features, make_extractor
from mt4ssl.errors import UserError

SAMPLES = (np.random.default_rng(0).normal(size=(1, 24000)) * 0.1).astype(np.float32)
KALDI = dict(dither=0.0, snip_edges=False, sample_frequency=16000)


def test_fbank_is_kaldi_s():
    ours = make_extractor("fbank").extract(SAMPLES, 16000)
    theirs = torchaudio.compliance.kaldi.fbank(torch.from_numpy(SAMPLES), num_mel_bins=80, high_freq=-400, **KALDI)
    assert ours.shape == (150, 80)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_mfcc_with_deltas_is_kaldi_s():
    ours = make_extractor("mfcc").extract(SAMPLES, 16000)
    static = torchaudio.compliance.kaldi.mfcc(
        torch.from_numpy(SAMPLES), num_ceps=13, high_freq=-400, use_energy=False, **KALDI
    )
    deltas = torchaudio.functional.compute_deltas(static.T)
    theirs = torch.cat([static.T, deltas, torchaudio.functional.compute_deltas(deltas)]).T
    assert ours.shape == (150, 39)
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


@pytest.fixture
def cuts(tmp_path):
    recordings = []
    for number in range(6):
        path = tmp_path / f"utt {number}.flac"
        soundfile.write(path, SAMPLES[0, : 16000 + 1000 * number], 16000)
        recordings.append(Recording.from_file(path))
    return CutSet.from_cuts(recording.to_cut() for recording in recordings)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("mt4ssl.data.shards.SHARD_SIZE", 2)


def featured(cuts, folder, kind="fbank", jobs=1):
    """The cuts with features, of which each shard has its own manifest."""
    shards = compute_features(cuts, len(cuts), "these", kind, folder, jobs)
    return CutSet.from_files(shards, shuffle_iters=False).to_eager()


def test_stored_features_and_resume(cuts, tmp_path, small_shards):
    first = featured(cuts, tmp_path / "feats dir", jobs=2)
    assert [cut.id for cut in first] == [cut.id for cut in cuts]
    expected = make_extractor("fbank").extract(SAMPLES[:, :16000], 16000)
    np.testing.assert_allclose(first[0].load_features(), expected, atol=0.05)  # lilcom is lossy
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "feats dir").iterdir()}
    (tmp_path / "feats dir" / "00001.jsonl.gz").unlink()
    again = featured(cuts, tmp_path / "feats dir")
    for before, after in zip(first, again):
        np.testing.assert_array_equal(before.load_features(), after.load_features())
    redone = {path.name for path, time in kept.items() if path.stat().st_mtime_ns != time}
    assert redone == {"00001.lca", "00001.jsonl.gz"}


def test_unreadable_audio_is_named(cuts, tmp_path, small_shards):
    path = tmp_path / "utt 3.flac"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="utt 3.flac") as caught:
        featured(cuts, tmp_path / "feats")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [32_000, 32_079, 32_081, 47_999, 64_080, 70_001])
def test_fbank_in_parts_is_fbank(monkeypatch, size):
    samples = (np.random.default_rng(1).normal(size=(1, size)) * 0.1).astype(np.float32)
    whole = make_extractor("fbank").extract(samples, 16000)
    monkeypatch.setattr("mt4ssl.data.features.WINDOW", 0.5)
    parts = make_extractor("fbank").extract(samples, 16000)
    assert parts.shape == whole.shape == ((size + 80) // 160, 80)
    np.testing.assert_allclose(parts, whole, atol=1e-4)


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
def test_audio_too_short_for_a_frame_has_none_and_is_named(tmp_path, kind):
    extractor = make_extractor(kind)
    frames = [len(extractor.extract(SAMPLES[:, :size], 16000)) for size in (0, 1, 79, 80, 139, 140, 239, 240, 399, 400)]
    assert frames == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3]
    soundfile.write(tmp_path / "short.wav", SAMPLES[0, :100], 16000)
    cuts = CutSet.from_cuts([Recording.from_file(tmp_path / "short.wav").to_cut()])
    with pytest.raises(UserError, match=r"short.wav: short lasts 0.00625 s, less than a frame") as caught:
        featured(cuts, tmp_path / "feats", kind)
    assert "\n" not in str(caught.value)
