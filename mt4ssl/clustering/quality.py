"""How good are the labels: usage, and agreement with phones (HuBERT, section 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem

import mt4ssl.data.storage  # noqa: F401  (Lhotse learns to read labels)
from mt4ssl.errors import UserError

SILENCE = "sil"


@dataclass
class LabelQuality:
    """Measures over all frames of a set; those against phones are None without alignments."""

    frames: int
    used: int
    dead: int
    """Clusters that no frame fell into."""
    entropy: float
    """Of the cluster usage, in nats; log K when all are used alike."""
    phone_purity: float | None = None
    """Share of frames whose phone is the most frequent one of their cluster."""
    cluster_purity: float | None = None
    """Share of frames whose cluster is the most frequent one of their phone."""
    pnmi: float | None = None
    """Phone-normalised mutual information: the share of the phones' entropy that the labels explain."""


def frame_phones(alignment: list[AlignmentItem], frames: int, shift: float) -> np.ndarray:
    """Return the phone at the centre of each of `frames` frames (T,); `sil` between phones."""
    phones = np.full(frames, SILENCE, dtype=object)
    centres = (np.arange(frames) + 0.5) * shift
    for item in alignment:
        phones[np.searchsorted(centres, item.start) : np.searchsorted(centres, item.end)] = item.symbol
    return phones


def cut_phones(cut: Cut, frames: int, shift: float, alignment: str = "phone") -> np.ndarray | None:
    """Return the phone of each frame of a cut, or None if a supervision has no such alignment.

    `alignment` is its type: with `token` (of mt4ssl.bin.align) the tokens of a CTC model stand in for phones.
    """
    items: list[AlignmentItem] = []
    for supervision in cut.supervisions:
        if not supervision.alignment or alignment not in supervision.alignment:
            return None
        # Alignments keep to the time of the recording, wherever the supervision lies in the cut.
        items += [item.with_offset(-cut.start) for item in supervision.alignment[alignment]]
    return frame_phones(items, frames, shift) if items else None


def known_phones(cut: Cut, frames: int, shift: float, alignment: str) -> np.ndarray:
    """Return the phone of each frame of a cut, as `cut_phones`; UserError if it has no such alignment."""
    phones = cut_phones(cut, frames, shift, alignment)
    if phones is None:
        raise UserError(f"cut {cut.id} has no {alignment!r} alignment: mt4ssl-align makes one of its text")
    return phones


def joint_counts(labels: Sequence[np.ndarray], phones: Sequence[np.ndarray], clusters: int) -> np.ndarray:
    """Count frames by phone and cluster: (P, K)."""
    symbols, rows = np.unique(np.concatenate(phones), return_inverse=True)
    counts = np.zeros((len(symbols), clusters), int)
    np.add.at(counts, (rows, np.concatenate(labels)), 1)
    return counts


def entropy(counts: np.ndarray) -> float:
    """Entropy of a distribution given as counts, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def pnmi(joint: np.ndarray) -> float:
    """Share of the phones' entropy that clusters explain, from the joint counts (P, K)."""
    phone_entropy = entropy(joint.sum(1))
    mutual = phone_entropy + entropy(joint.sum(0)) - entropy(joint.ravel())
    return mutual / phone_entropy if phone_entropy > 0 else 0.0


def usage_quality(usage: np.ndarray) -> LabelQuality:
    """Quality from the frames per cluster (K,) alone."""
    used = int((usage > 0).sum())
    return LabelQuality(int(usage.sum()), used, len(usage) - used, entropy(usage))


def phone_quality(joint: np.ndarray) -> LabelQuality:
    """Quality from the joint counts (P, K)."""
    quality = usage_quality(joint.sum(0))
    total = joint.sum()
    quality.phone_purity = float(joint.max(0).sum() / total)
    quality.cluster_purity = float(joint.max(1).sum() / total)
    quality.pnmi = pnmi(joint)
    return quality


def label_quality(cuts: Iterable[Cut], name: str, clusters: int, alignment: str) -> LabelQuality:
    """Measure the labels `name` of cuts, against their alignments of that type if every cut has one."""
    labels, phones = [], []
    for cut in cuts:
        if not cut.has_custom(name):
            raise UserError(f"cut {cut.id} has no {name!r} labels: run stage 4 (labels)")
        labels.append(cut.load_custom(name))
        known = cut_phones(cut, len(labels[-1]), getattr(cut, name).frame_shift, alignment)
        if known is not None:
            phones.append(known)
    if len(phones) == len(labels):
        return phone_quality(joint_counts(labels, phones, clusters))
    return usage_quality(np.bincount(np.concatenate(labels), minlength=clusters))
