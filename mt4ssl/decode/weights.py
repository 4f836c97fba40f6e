"""LM scale and word score: the grid of pairs that decoding tries, and what lies beyond its edges."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Callable, NamedTuple, TypeVar

NUMBER = r"[0-9.]+(?:e[+-][0-9]+)?"  # as str writes it: 1e-05
EXTENSIONS = 5  # how often a grid grows at most

Hypotheses = TypeVar("Hypotheses")


class Weights(NamedTuple):
    """What the score of a path is: its log-probs + `lm_scale` x its LM scores + `word_score` x its words."""

    lm_scale: float
    word_score: float = 0.0

    def __str__(self) -> str:
        """As in the names of files: `lm_scale_0.5`, or `lm_scale_0.5_word_score_1.0`."""
        return f"lm_scale_{self.lm_scale}" + (f"_word_score_{self.word_score}" if self.word_score else "")

    @classmethod
    def parse(cls, text: str) -> Weights | None:
        """Read what `str` wrote; None if it is something else."""
        found = re.fullmatch(f"lm_scale_({NUMBER})(?:_word_score_(-?{NUMBER}))?", text)
        return cls(float(found[1]), float(found[2] or 0.0)) if found else None


def grid(lm_scales: Iterable[float], word_scores: Iterable[float]) -> list[Weights]:
    """Return all pairs."""
    return [Weights(*pair) for pair in product(lm_scales, word_scores)]


def axes(pairs: Iterable[Weights]) -> list[list[float]]:
    """Return the LM scales and the word scores of a grid, ascending."""
    return [sorted(set(values)) for values in zip(*pairs)]


def on_edge(pair: Weights, pairs: Collection[Weights]) -> bool:
    """Return whether the pair has the lowest or highest of several LM scales, or of several word scores, of a grid."""
    return any(len(axis) > 1 and value in (axis[0], axis[-1]) for value, axis in zip(pair, axes(pairs)))


def best_pair(errors: Mapping[Weights, float]) -> Weights:
    """Return the pair with the fewest errors; of equals, rather one that is not on the edge of their grid."""
    return min(errors, key=lambda pair: (errors[pair], on_edge(pair, errors)))


def beyond(errors: Mapping[Weights, float]) -> list[Weights]:
    """Return the pairs to try next, beyond the edges of the grid that the best pair lies on; none if it lies inside."""
    longer = [_longer(axis, value) for axis, value in zip(axes(errors), best_pair(errors))]
    return [pair for pair in grid(*longer) if pair not in errors and pair.lm_scale > 0]


def _longer(axis: Sequence[float], value: float) -> list[float]:
    """Return the axis, with one more value, a step away, beyond the end that `value` is; one value alone is fixed."""
    below = [2 * axis[0] - axis[1]] if len(axis) > 1 and value == axis[0] else []
    above = [2 * axis[-1] - axis[-2]] if len(axis) > 1 and value == axis[-1] else []
    return [round(number, 4) for number in (*below, *axis, *above)]


def search(
    decode: Callable[[Sequence[Weights]], Mapping[Weights, Hypotheses]],
    count_errors: Callable[[Hypotheses], float],
    pairs: Sequence[Weights],
) -> dict[Weights, Hypotheses]:
    """Return what `decode` gives for a grid of pairs, which grows while the best pair lies on its edge."""
    hypotheses = dict(decode(pairs))
    errors = {pair: count_errors(hypotheses[pair]) for pair in pairs}
    for _ in range(EXTENSIONS):
        more = beyond(errors)
        if not more:
            break
        hypotheses.update(decode(more))
        errors.update({pair: count_errors(hypotheses[pair]) for pair in more})
    return hypotheses
