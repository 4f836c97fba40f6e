"""Word errors by kaldialign, with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import kaldialign

from mt4ssl.errors import UserError

Text = Mapping[str, list[str]]  # {utterance id: words}


@dataclass(frozen=True)
class ErrorRate:
    """Errors against `words` reference words; rates in percent; `ci95` is the 95 % interval of the WER, if known."""

    ins: int
    dele: int
    sub: int
    words: int
    wer: float
    cer: float
    ci95: tuple[float, float] | None


def check_same_utterances(ref: Mapping[str, object], hyp: Mapping[str, object], name: str) -> None:
    """Raise UserError naming the utterances that the reference or the hypotheses (called `name`) lack."""
    for missing, where in ((ref.keys() - hyp.keys(), name), (hyp.keys() - ref.keys(), "the reference")):
        if missing:
            some = " ".join(sorted(missing)[:5]) + (" …" if len(missing) > 5 else "")
            raise UserError(
                f"{len(missing)} utterances are not in {where}: {some}; decode again, or give the right --ref"
            )


def count_errors(ref: Text, hyp: Text) -> int:
    """Return how many words of `hyp`, which has the utterances of `ref`, are wrong, too many or missing."""
    return sum(kaldialign.edit_distance(ref[utterance], hyp[utterance])["total"] for utterance in ref)


def score(ref: Text, hyp: Text) -> ErrorRate:
    """Return the errors of `hyp`, which has the utterances of `ref`.

    Where the whole reference is empty, insertions count against one word: a rate over none is undefined.
    """
    refs, hyps = [ref[utterance] for utterance in ref], [hyp[utterance] for utterance in ref]
    words = kaldialign.batch_error_rate(refs, hyps)
    characters = kaldialign.batch_error_rate(*([list(" ".join(text)) for text in texts] for texts in (refs, hyps)))
    wer, cer = (100 * counts["total"] / max(counts["ref_len"], 1) for counts in (words, characters))
    return ErrorRate(words["ins"], words["del"], words["sub"], words["ref_len"], wer, cer, interval(refs, hyps))


def interval(refs: Sequence[list[str]], hyps: Sequence[list[str]]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of the WER in percent (Bisani and Ney, 2004).

    None where so many references are empty that all that are drawn may be: there is no rate of these.
    """
    if not any(refs):
        return None
    bounds = kaldialign.bootstrap_wer_ci(refs, hyps)
    low, high = 100 * bounds["ci95min"], 100 * bounds["ci95max"]
    return (max(0.0, low), high) if math.isfinite(low) and math.isfinite(high) else None
