"""K-means against sklearn and brute force."""

import os

import numpy as np
import pytest
import soundfile
from lhotse import Recording
from lhotse.testing.dummies import dummy_cut
from sklearn.cluster import KMeans

from mt4ssl.bin.train_kmeans import Config
from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, save_kmeans, train_kmeans
from mt4ssl.clustering.labels import Labeller, config_of_labels, write_label_config
from mt4ssl.config import parse_config
from mt4ssl.errors import UserError


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 13))
    return (centres[rng.integers(20, size=8000)] + rng.normal(size=(8000, 13))).astype(np.float32)


def test_as_tight_as_sklearn(frames):
    centroids, distance = train_kmeans(frames, KMeansConfig(clusters=20))
    theirs = KMeans(20, n_init=3, random_state=0).fit(frames).inertia_ / len(frames)
    assert centroids.shape == (20, 13)
    assert distance < 1.02 * theirs


def test_labels_are_nearest_centroids(frames, tmp_path):
    config = KMeansConfig(clusters=20)
    centroids, distance = train_kmeans(frames, config)
    save_kmeans(tmp_path, centroids, distance, len(frames), config)
    labels = Labeller(tmp_path, lambda cut: frames)(None)
    distances = ((frames[:, None] - centroids[None]) ** 2).sum(-1)
    assert labels.dtype == np.int16
    np.testing.assert_array_equal(labels, distances.argmin(1))
    np.testing.assert_allclose(distances.min(1).mean(), distance, rtol=0.01)


def test_same_seed_same_centroids(frames):
    first, second = (train_kmeans(frames, KMeansConfig(clusters=5, seed=3))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_config_beside_labels_keeps_its_time(tmp_path):
    write_label_config(KMeansConfig(clusters=20), tmp_path)
    os.utime(tmp_path / "kmeans.yaml", (0, 0))
    write_label_config(KMeansConfig(clusters=20), tmp_path)
    assert (tmp_path / "kmeans.yaml").stat().st_mtime == 0
    write_label_config(KMeansConfig(clusters=30), tmp_path)
    assert config_of_labels(tmp_path, "kmeans").clusters == 30


def test_too_few_frames():
    with pytest.raises(UserError, match="3 frames cannot fill 5 clusters"):
        train_kmeans(np.zeros((3, 2), np.float32), KMeansConfig(clusters=5))


class CutNumbers:
    """Features of a cut of a second: its number, 25 times as a layer has it, not the 100 of its MFCC."""

    frame_shift = 0.04

    def __call__(self, cut):
        return np.full((25, 1), int(cut.id), np.float32)


def test_sample_is_uniform_over_the_corpus():
    cuts = [dummy_cut(number).with_id(str(number)) for number in range(50)]
    sample = sample_frames(cuts, CutNumbers(), 625, seed=0)
    assert abs(len(sample) - 625) < 60
    assert np.bincount(sample[:, 0].astype(int), minlength=50).min() > 3
    assert len(sample_frames(cuts, CutNumbers(), 10**6, seed=0)) == 1250


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_names_its_file(tmp_path, value):
    cuts = []
    for name, sample in {"good": 0.2, "bad": value}.items():
        samples = np.where(np.arange(16000) == 8000, sample, 0.1)
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, subtype="FLOAT")
        cuts.append(Recording.from_file(tmp_path / f"{name}.wav").to_cut())
    features = frame_features(KMeansConfig())
    assert len(sample_frames(cuts[:1], features, 10**6, seed=0)) == 100
    with pytest.raises(UserError, match=r"^bad \(.*/bad.wav\) has samples or features that are no numbers"):
        sample_frames(cuts, features, 10**6, seed=0)


def test_what_is_clustered_and_where_it_goes_must_be_said():
    with pytest.raises(UserError, match="cuts"):
        parse_config(Config, "", ["--out", "somewhere"])
