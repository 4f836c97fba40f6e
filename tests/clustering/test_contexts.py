"""Phones in context: classes counted by hand."""

from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from mt4ssl.clustering.contexts import frequent_triphones, in_context, triphones
from mt4ssl.clustering.labels import aligned_symbols, label_by_alignment


def said(phones: str, start: float = 0.0) -> list[AlignmentItem]:
    """Phones of 60 ms each, one after the other; a space is a pause of which nothing is said."""
    return [AlignmentItem(phone, start + 0.06 * n, 0.06) for n, phone in enumerate(phones) if phone != " "]


def make_cut(name: str, items: list[AlignmentItem]) -> MonoCut:
    recording = Recording(name, [], 16000, 16000, 1.0)
    supervision = SupervisionSegment(name, name, 0.0, 1.0, alignment={"phone": items})
    return MonoCut(name, 0.0, 1.0, 0, supervisions=[supervision], recording=recording)


def test_a_pause_and_an_end_are_silence():
    assert triphones(said("abc")) == ["sil-a+b", "a-b+c", "b-c+sil"]
    assert triphones(said("ab c")) == ["sil-a+b", "a-b+sil", "sil-c+sil"]
    paused = [*said("a"), AlignmentItem("sil", 0.06, 0.1), *said("b", 0.16)]
    assert triphones(paused) == ["sil-a+sil", "sil", "sil-b+sil"]
    assert triphones([]) == []


def test_frequent_ones_are_classes_and_thirds_of_the_others():
    cuts = [make_cut("x", said("abcab")), make_cut("y", said("ab a"))]  # two triphones twice, four once
    frequent = frequent_triphones(cuts, "phone", 3)
    assert frequent == {"sil-a+b", "a-b+sil", "a-b+c"}  # of those that are there once, the first by alphabet
    changed = [in_context(cut, "phone", frequent) for cut in cuts]
    symbols = aligned_symbols(changed, "phone")
    assert symbols == ["a-b+c", "a-b+sil", "a.1", "a.2", "a.3", "c.1", "c.2", "c.3", "sil", "sil-a+b"]
    labels, _ = label_by_alignment(changed, "phone", symbols)
    thirds = [f"{phone}.{third}" for phone in "ca" for third in (1, 2, 3) for _ in range(2)]
    expected = ["sil-a+b"] * 6 + ["a-b+c"] * 6 + thirds + ["a-b+sil"] * 6 + ["sil"] * (len(labels) - 30)
    assert [symbols[number] for number in labels] == expected
    assert cuts[0].supervisions[0].alignment["phone"][0].symbol == "a"  # as they were
