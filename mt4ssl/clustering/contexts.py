"""Phones in context as classes: frequent triphones, and thirds of other phones (PolyBERT in form, arXiv 2306.08920)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem
from lhotse.utils import fastcopy

from mt4ssl.clustering.quality import SILENCE
from mt4ssl.data.signals import FBANK_SHIFT


def triphones(items: Sequence[AlignmentItem]) -> list[str]:
    """Return each phone of an alignment as `before-phone+after`, with `sil` for a pause or an end; `sil` as it is."""
    pause = AlignmentItem(SILENCE, float("-inf"), 0.0)
    names = []
    for before, item, after in zip([pause, *items], items, [*items[1:], pause]):
        first = before.symbol if abs(item.start - before.end) < FBANK_SHIFT else SILENCE
        last = after.symbol if abs(after.start - item.end) < FBANK_SHIFT else SILENCE
        names.append(SILENCE if item.symbol == SILENCE else f"{first}-{item.symbol}+{last}")
    return names


def frequent_triphones(cuts: Iterable[Cut], alignment: str, number: int) -> set[str]:
    """Return the `number` most frequent triphones of alignments of that type; of equal ones the first by alphabet."""
    counts = Counter(
        name
        for cut in cuts
        for supervision in cut.supervisions
        for name in triphones((supervision.alignment or {}).get(alignment, []))
        if name != SILENCE
    )
    return set(sorted(counts, key=lambda name: (-counts[name], name))[:number])


def in_context(cut: Cut, alignment: str, frequent: Set[str]) -> Cut:
    """Return the cut with frequent triphones in its alignments, and `phone.1` to `phone.3` for other phones."""
    supervisions = []
    for supervision in cut.supervisions:
        items = []
        for item, name in zip(phones := (supervision.alignment or {}).get(alignment, []), triphones(phones)):
            if name in frequent or name == SILENCE:
                items.append(item._replace(symbol=name))
            else:
                third = item.duration / 3
                items += [AlignmentItem(f"{item.symbol}.{n + 1}", item.start + n * third, third) for n in range(3)]
        alignments = {**(supervision.alignment or {}), alignment: items}
        supervisions.append(fastcopy(supervision, alignment=alignments) if items else supervision)
    return fastcopy(cut, supervisions=supervisions)
