"""ABX errors: how often a phone is nearer to another phone than to one of its own kind.

Of phones in any context, by the angle between the means of their frames; means over speakers, then over pairs of
phones, as in fastabx 0.9, which needs a later Python (Schatz et al. 2013).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mt4ssl.clustering.quality import SILENCE

MAX_OF_A_KIND = 20  # phones of one kind and speaker: the comparisons grow with the cube of it
MAX_OTHERS = 5  # other speakers whose phones are compared with those of one


@dataclass
class PhoneTokens:
    """Phones as they were said: each a stretch of frames of one cut."""

    starts: np.ndarray
    """First frame of each (M,)."""
    ends: np.ndarray
    """Frame after the last one of each (M,)."""
    kinds: np.ndarray
    """Which phone each is (M,): an index into all phones."""
    speakers: np.ndarray
    """Names (M,)."""


def find_tokens(phones: np.ndarray, speakers: np.ndarray, cuts: np.ndarray) -> PhoneTokens:
    """Return the phones of frames (N,), without silence; of a kind and speaker at most 20, drawn always alike."""
    changes = np.flatnonzero((phones[1:] != phones[:-1]) | (cuts[1:] != cuts[:-1])) + 1
    starts, ends = np.concatenate([[0], changes]), np.concatenate([changes, [len(phones)]])
    kept: dict[tuple[str, str], list[int]] = {}
    for number in np.random.default_rng(0).permutation(len(starts)):
        of_a_kind = kept.setdefault((phones[starts[number]], speakers[starts[number]]), [])
        if phones[starts[number]] != SILENCE and len(of_a_kind) < MAX_OF_A_KIND:
            of_a_kind.append(number)
    numbers = np.array(sorted(number for of_a_kind in kept.values() for number in of_a_kind), int)
    starts, ends = starts[numbers], ends[numbers]
    _, kinds = np.unique(phones[starts], return_inverse=True)
    return PhoneTokens(starts, ends, kinds, speakers[starts])


def pooled(x: np.ndarray, tokens: PhoneTokens) -> np.ndarray:
    """Return the mean of the frames x (N, C) of each token, of unit length: (M, C)."""
    means = np.stack([x[start:end].mean(0) for start, end in zip(tokens.starts, tokens.ends)]).astype(np.float64)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def cell_errors(similarity: np.ndarray, kinds: np.ndarray, kinds_x: np.ndarray, phones: int) -> np.ndarray:
    """Return the share of triples (a, b, x) in which x, of the kind of a, is nearer to b: (P, P), NaN without triples.

    `similarity` (M, X) is of what may be a or b, of `kinds` (M,), to what may be x, of `kinds_x` (X,); NaN for a token
    and itself. A tie counts half.
    """
    errors = np.full((phones, phones), np.nan)
    of_kind = np.bincount(kinds, minlength=phones)
    for kind in range(phones):
        to_x = similarity[:, kinds_x == kind]  # (M, X of that kind)
        to_a = to_x[kinds == kind, None]  # (A, 1, X)
        wrong = ((to_x > to_a) + 0.5 * (to_x == to_a)).sum((0, 2))  # (M,)
        triples = of_kind * np.isfinite(to_a).sum()
        np.divide(np.bincount(kinds, wrong, phones), triples, out=errors[kind], where=triples > 0)
        errors[kind, kind] = np.nan
    return errors


def mean_error(cells: Iterable[np.ndarray]) -> float | None:
    """Return the mean over pairs of phones of the mean over cells (P, P); None where there is no triple."""
    errors = np.ma.masked_invalid(np.stack(list(cells))).mean(0)
    return float(errors.mean()) if errors.count() else None


def pairs_across(speakers: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield each speaker with some others, drawn always alike."""
    rng = np.random.default_rng(0)
    for speaker in speakers:
        for other in rng.permutation(speakers[speakers != speaker])[:MAX_OTHERS]:
            yield speaker, other


def abx_errors(x: np.ndarray, tokens: PhoneTokens) -> tuple[float | None, float | None]:
    """Return the ABX error of features x (N, C) within speakers, and across them: a and b of one, x of another.

    None where there is no such triple.
    """
    if not len(tokens.kinds):
        return None, None
    vectors, kinds = pooled(x, tokens), tokens.kinds
    phones = len(np.unique(kinds))
    names = np.unique(tokens.speakers)
    said = {name: np.flatnonzero(tokens.speakers == name) for name in names}

    def cell(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        similarity = vectors[first] @ vectors[second].T
        if first is second:
            np.fill_diagonal(similarity, np.nan)
        return cell_errors(similarity, kinds[first], kinds[second], phones)

    within = mean_error(cell(numbers, numbers) for numbers in said.values())
    across = [cell(said[speaker], said[other]) for speaker, other in pairs_across(names)]
    return within, mean_error(across) if across else None
