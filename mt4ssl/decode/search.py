"""From CTC log-probabilities to words through k2 lattices, in icefall's manner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import k2
import torch

from mt4ssl.decode.weights import Weights


class Beam(NamedTuple):
    """What the search keeps: paths near the best one, in nats, and numbers of states in a frame; as in icefall."""

    search: float = 20.0
    output: float = 8.0
    min_active_states: int = 30
    max_active_states: int = 10000

    def narrower(self, times: int) -> list[Beam]:
        """Return beams whose lattices are smaller and smaller: each has a quarter of the one before it."""
        return [
            self._replace(
                output=self.output / 4**number,
                max_active_states=max(self.min_active_states, self.max_active_states // 4**number),
            )
            for number in range(1, times + 1)
        ]


def scaled(hlg: k2.Fsa, lm_scale: float) -> k2.Fsa:
    """Return HLG with its scores multiplied by `lm_scale`, and the unscaled ones as `lm_scores`."""
    graph = hlg.clone()
    graph.lm_scores = hlg.scores
    graph.scores = hlg.scores * lm_scale
    return graph


def get_lattice(log_probs: torch.Tensor, lengths: torch.Tensor, graph: k2.Fsa, beam: Beam) -> k2.Fsa:
    """Return the lattices (FsaVec of B) of `log_probs` (B, T, V), padded after `lengths` (B,), longest first.

    `graph` is one of `scaled`.
    """
    rows = torch.arange(len(lengths), dtype=torch.int32)
    segments = torch.stack([rows, torch.zeros_like(rows), lengths.to(torch.int32)], dim=1)
    dense = k2.DenseFsaVec(log_probs, segments)
    return k2.intersect_dense_pruned(graph, dense, *beam)


def prune(lattice: k2.Fsa, max_arcs: float = math.inf) -> k2.Fsa:
    """Return the lattice without the arcs of posterior < 1e-5, a tenth of its size with the same best paths.

    Where more than `max_arcs` are left, those of a higher posterior go too, up to 0.01.
    """
    for posterior in (1e-5, 1e-4, 1e-3, 1e-2):
        lattice = k2.prune_on_arc_post(lattice, posterior, use_double_scores=True)
        if lattice.num_arcs <= max_arcs:
            break
    return lattice


def rescore(lattice: k2.Fsa, lm_scale: float, g: k2.Fsa) -> k2.Fsa:
    """Return the lattice with the scores of `g` (of `graph.rescoring_g`) for those of HLG, at scale 1.

    `lm_scale` is the one the lattice was made with. icefall lets `g` take a back-off arc only where the
    lattice has an epsilon to spare; here the lattice gets epsilon loops too, so all of `g` is open to it.
    """
    if lattice.num_arcs == 0:  # no path to rescore; k2 cannot add loops to nothing
        return lattice
    g = k2.arc_sort(k2.add_epsilon_self_loops(g))
    g.lm_scores = g.scores.clone()
    acoustic = k2.invert(lattice)
    acoustic.scores = acoustic.scores - lm_scale * acoustic.lm_scores
    del acoustic.lm_scores
    acoustic = k2.add_epsilon_self_loops(acoustic)
    to_g = torch.zeros(acoustic.shape[0], dtype=torch.int32, device=acoustic.device)
    product = k2.connect(k2.intersect_device(g, acoustic, to_g, sorted_match_a=True))
    # Where both loop on epsilon, so does the product: a loop that goes nowhere, which top_sort would refuse.
    return k2.invert(k2.top_sort(k2.connect(k2.remove_epsilon_self_loops(product))))


def reweighted(lattice: k2.Fsa, old_scale: float, weights: Weights) -> k2.Fsa:
    """Return the lattice, made with its `lm_scores` weighted by `old_scale` and no word score, with other weights."""
    lattice = lattice.clone()
    lattice.scores = lattice.scores + (weights.lm_scale - old_scale) * lattice.lm_scores
    if weights.word_score:
        lattice.scores = lattice.scores + weights.word_score * word_counts(lattice)
    return lattice


def word_counts(lattice: k2.Fsa) -> torch.Tensor:
    """Return how many words each arc says, (A,)."""
    labels = lattice.aux_labels
    if isinstance(labels, k2.RaggedTensor):  # [arc][word]
        return labels.remove_values_leq(0).shape.row_splits(1).diff()
    return (labels > 0).to(torch.int32)


def best_words(lattice: k2.Fsa, words: Sequence[str]) -> list[list[str] | None]:
    """Return the words on the best path of each lattice, None for an empty lattice."""
    best = k2.shortest_path(lattice, use_double_scores=True)
    arcs = best.arcs.shape().remove_axis(1)  # [utterance][arc]
    labels = best.aux_labels
    if isinstance(labels, k2.RaggedTensor):  # [arc][word]: HLG may say several words on an arc
        labels = k2.RaggedTensor(arcs.compose(labels.shape), labels.values).remove_axis(1)
    else:
        labels = k2.RaggedTensor(arcs, labels)
    found = (arcs.row_splits(1).diff() > 0).tolist()
    texts = labels.remove_values_leq(0).tolist()
    return [[words[i] for i in text] if path else None for text, path in zip(texts, found)]


def best_scores(lattice: k2.Fsa) -> torch.Tensor:
    """Return the score of the best path of each lattice, (B,); -inf for an empty lattice."""
    return lattice.get_tot_scores(use_double_scores=True, log_semiring=False)
