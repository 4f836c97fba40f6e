"""Score files in icefall's layout: recogs-, errs- and wer-summary-, one set per result, named after it."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import kaldialign

from mt4ssl.scoring.wer import ErrorRate, Text

GAP = " "  # what no word can be
SHOWN_GAP = "*"
Alignment = list[tuple[str, str]]  # (reference word, hypothesis word), GAP where there is none


def recogs_lines(ref: Text, hyp: Text) -> list[str]:
    r"""Return two lines per utterance: `id:\tref=[…]` and `id:\thyp=[…]`."""
    return [f"{name}:\t{side}={text[name]}" for name in sorted(ref) for side, text in (("ref", ref), ("hyp", hyp))]


def errs_lines(ref: Text, hyp: Text, rate: ErrorRate, name: str = "WER") -> list[str]:
    """Return the error statistics: totals, each utterance aligned, confusions by frequency."""
    aligned = {name: align(ref[name], hyp[name]) for name in sorted(ref)}
    pairs = Counter(pair for alignment in aligned.values() for pair in alignment)
    substitutions = {pair: n for pair, n in pairs.items() if pair[0] != pair[1] and GAP not in pair}
    deletions = {r: n for (r, h), n in pairs.items() if h == GAP}
    insertions = {h: n for (r, h), n in pairs.items() if r == GAP}
    correct = sum(n for (r, h), n in pairs.items() if r == h)
    return [
        f"%{name} = {rate.wer:.2f}",
        (
            f"Errors: {rate.ins} insertions, {rate.dele} deletions, {rate.sub} substitutions, "
            f"over {rate.words} reference words ({correct} correct)"
        ),
        (
            "Search below for sections starting with "
            "PER-UTT DETAILS:, SUBSTITUTIONS:, DELETIONS:, INSERTIONS:, PER-WORD STATS:"
        ),
        "",
        "PER-UTT DETAILS: corr or (ref->hyp)  ",
        *(f"{name}:\t{describe(alignment)}" for name, alignment in aligned.items()),
        "",
        "SUBSTITUTIONS: count ref -> hyp",
        *(f"{n}   {r} -> {h}" for (r, h), n in frequent_first(substitutions)),
        "",
        "DELETIONS: count ref",
        *(f"{n}   {word}" for word, n in frequent_first(deletions)),
        "",
        "INSERTIONS: count hyp",
        *(f"{n}   {word}" for word, n in frequent_first(insertions)),
        "",
        "PER-WORD STATS: word  corr tot_errs count_in_ref count_in_hyp",
        *word_stats(pairs),
    ]


def align(ref: list[str], hyp: list[str]) -> Alignment:
    """Return the alignment with the fewest errors."""
    return kaldialign.align(ref, hyp, GAP)


def describe(alignment: Alignment) -> str:
    """Return the reference with errors in brackets, neighbours merged: `THE (CAT SAT->CATS) DOWN`."""
    parts = []
    for is_correct, run in groupby(alignment, key=lambda pair: pair[0] == pair[1]):
        ref, hyp = (" ".join(word for word in side if word != GAP) or SHOWN_GAP for side in zip(*run))
        parts.append(ref if is_correct else f"({ref}->{hyp})")
    return " ".join(parts)


def frequent_first(counts: dict) -> list[tuple]:
    """Return the items of {key: count}, highest count first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def word_stats(pairs: Counter) -> list[str]:
    """Return `word correct errors count_in_ref count_in_hyp` lines, the word with most errors first."""
    correct: Counter[str] = Counter()
    in_ref: Counter[str] = Counter()
    in_hyp: Counter[str] = Counter()
    for (ref, hyp), count in pairs.items():
        in_ref[ref] += count
        in_hyp[hyp] += count
        correct[ref] += count * (ref == hyp)
    errors = {word: in_ref[word] + in_hyp[word] - 2 * correct[word] for word in in_ref | in_hyp if word != GAP}
    return [f"{word}   {correct[word]} {n} {in_ref[word]} {in_hyp[word]}" for word, n in frequent_first(errors)]


def summary_lines(rates: dict[str, ErrorRate], name: str = "WER") -> list[str]:
    r"""Return `settings\tWER` and one line per result, best first."""
    return [f"settings\t{name}", *(f"{key}\t{rate.wer:.2f}" for key, rate in rates.items())]
