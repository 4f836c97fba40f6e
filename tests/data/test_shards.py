"""Shards: their order, what an earlier run leaves, and when that is not to be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.testing.dummies import dummy_cut

from mt4ssl.data.shards import map_shards
from mt4ssl.data.storage import store_labels


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mt4ssl.data.shards.SHARD_SIZE", 2)


def label(items: Sequence[tuple[int, int]], stem: Path) -> list[Cut]:
    """Give cut n, of a second, a hundred labels."""
    labels = ((dummy_cut(n, start=0.0, duration=1.0), np.full(100, value, np.int16)) for n, value in items)
    return store_labels(stem.with_suffix(".npys"), "labels", 0.01, labels)


def numbers(items: list[tuple[int, int]], origin: str, folder: Path) -> list[tuple[str, int]]:
    manifests = map_shards(label, items, len(items), origin, folder, jobs=1, title="labels")
    cuts = CutSet.from_files(manifests, shuffle_iters=False)
    arrays = [(cut.id, cut.load_custom("labels")) for cut in cuts]
    assert all(len(array) == 100 and (array == array[0]).all() for _, array in arrays)
    return [(name, int(array[0])) for name, array in arrays]


def test_order_and_what_is_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "labels of a split"
    items = [(4, 7), (2, 8), (3, 9), (1, -1), (0, 2)]
    expected = [("dummy-mono-cut-0004", 7), ("dummy-mono-cut-0002", 8), ("dummy-mono-cut-0003", 9),
                ("dummy-mono-cut-0001", -1), ("dummy-mono-cut-0000", 2)]  # fmt: skip
    assert numbers(items, "of one K-means", folder) == expected
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(times) == 7  # two files of each of three shards, and where they come from
    (folder / "00001.jsonl.gz").unlink()
    assert numbers(items, "of one K-means", folder) == expected
    redone = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert redone == {"00001.jsonl.gz", "00001.npys"}


def test_shards_of_something_else_are_not_used(tmp_path: Path) -> None:
    assert [value for _, value in numbers([(0, 1), (1, 1), (2, 1)], "one", tmp_path)] == [1, 1, 1]
    assert [value for _, value in numbers([(0, 5)], "another", tmp_path)] == [5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.jsonl.gz", "00000.npys", "origin.txt"]


def test_part_of_the_labels(tmp_path: Path) -> None:
    """Lhotse reads the frames of a part of a cut alone."""
    labels = np.arange(100, dtype=np.int16)
    cut = dummy_cut(0, start=0.0, duration=1.0)
    (stored,) = store_labels(tmp_path / "a file [1] |.npys", "labels", 0.01, [(cut, labels)])
    part = stored.truncate(offset=0.2, duration=0.5)
    np.testing.assert_array_equal(part.load_custom("labels"), labels[20:70])
