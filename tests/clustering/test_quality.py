"""Label quality against sklearn and by hand."""

import numpy as np
import pytest
from lhotse.supervision import AlignmentItem, SupervisionSegment
from lhotse.testing.dummies import dummy_cut
from sklearn.metrics import mutual_info_score

from mt4ssl.clustering.quality import (
    cut_phones,
    frame_phones,
    joint_counts,
    label_quality,
    phone_quality,
    usage_quality,
)
from mt4ssl.errors import UserError


def test_pnmi_and_purities():
    rng = np.random.default_rng(0)
    phones = rng.choice(["a", "b", "c", "d"], 2000)
    labels = (np.unique(phones, return_inverse=True)[1] * 3 + rng.integers(4, size=2000)) % 11
    quality = phone_quality(joint_counts([labels[:900], labels[900:]], [phones[:900], phones[900:]], 12))
    p = np.unique(phones, return_counts=True)[1] / 2000
    assert quality.pnmi == np.float64(quality.pnmi)
    np.testing.assert_allclose(quality.pnmi, mutual_info_score(phones, labels) / -(p * np.log(p)).sum())
    by_cluster = sum(np.unique(phones[labels == k], return_counts=True)[1].max() for k in np.unique(labels))
    by_phone = sum(np.bincount(labels[phones == s]).max() for s in "abcd")
    np.testing.assert_allclose([quality.phone_purity, quality.cluster_purity], [by_cluster / 2000, by_phone / 2000])
    assert quality.used == 11 and quality.dead == 1


def test_perfect_labels():
    quality = phone_quality(joint_counts([np.array([0, 0, 1, 2])], [np.array(["x", "x", "y", "z"])], 3))
    assert quality.pnmi == quality.phone_purity == quality.cluster_purity == 1.0


def test_uniform_usage_has_the_entropy_of_its_clusters():
    np.testing.assert_allclose(usage_quality(np.full(50, 10)).entropy, np.log(50))


def test_phones_of_a_cut_wherever_its_supervision_lies():
    """Lhotse keeps alignments in the time of the recording."""
    supervision = SupervisionSegment("s", "r", 5.0, 2.0)
    items = [AlignmentItem("a", 5.0, 1.0), AlignmentItem("b", 6.0, 1.0)]
    whole = dummy_cut(0, start=0.0, duration=10.0, supervisions=[supervision.with_alignment("phone", items)])
    truth = ["sil"] * 5 + ["a", "b"] + ["sil"] * 3
    assert cut_phones(whole, 10, 1.0).tolist() == truth
    assert cut_phones(whole.truncate(offset=4.0, duration=4.0), 4, 1.0).tolist() == truth[4:8]
    (trimmed,) = whole.trim_to_supervisions()
    assert cut_phones(trimmed, 2, 1.0).tolist() == ["a", "b"]


def test_cuts_without_labels_are_told():
    with pytest.raises(UserError, match="has no 'kmeans' labels: run stage 4"):
        label_quality([dummy_cut(0)], "kmeans", 5, "phone")


def test_phones_of_frames():
    alignment = [AlignmentItem("a", 0.02, 0.03), AlignmentItem("b", 0.05, 0.02)]
    assert frame_phones(alignment, 8, 0.01).tolist() == ["sil"] * 2 + ["a"] * 3 + ["b"] * 2 + ["sil"]
