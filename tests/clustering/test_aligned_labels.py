"""Labels from alignments made up by hand, and what a training reads of them."""

import sys

import pytest
from lhotse import CutSet
from lhotse.supervision import AlignmentItem
from lhotse.testing.dummies import dummy_cut, dummy_supervision

from mt4ssl.bin.make_aligned_labels import main
from mt4ssl.clustering.labels import config_of_labels
from mt4ssl.data.pretraining import frame_labels
from mt4ssl.errors import UserError


def write_cuts(path, *alignments, start=0.0):
    """Write cuts of 0.1 s, from `start` seconds of their recordings, with (symbol, start, duration) each."""
    cuts = []
    for number, items in enumerate(alignments):
        alignment = {"phone": [AlignmentItem(*item) for item in items]} if items else None
        supervision = dummy_supervision(number, start=0.0, duration=0.1, alignment=alignment)
        cuts.append(dummy_cut(number, start=start, duration=0.1, supervisions=[supervision]))
    CutSet.from_cuts(cuts).to_file(path)
    return path


def label(monkeypatch, out, *paths):
    arguments = ["--cuts", *paths, "--name", "said", "--out", out]
    monkeypatch.setattr(sys, "argv", ["make_aligned_labels", *map(str, arguments)])
    main()


def read(path):
    return list(CutSet.from_file(path))


def test_labels_by_hand(tmp_path, monkeypatch):
    train = write_cuts(tmp_path / "train.jsonl.gz", [("b", 0.02, 0.03), ("a", 0.05, 0.02)], [("a", 0.0, 0.1)])
    later = write_cuts(tmp_path / "dev.jsonl.gz", [("b", 5.0, 0.06), ("c", 5.06, 0.04)], start=5.0)
    out = tmp_path / "some labels"
    label(monkeypatch, out, train, later)
    assert (out / "said.txt").read_text() == "a 0\nb 1\nc 2\nsil 3\n"
    assert config_of_labels(out, "said").clusters == 4
    first, second = read(out / "train.jsonl.gz")
    assert first.load_custom("said").tolist() == [3, 3, 1, 1, 1, 0, 0, 3, 3, 3]
    assert second.load_custom("said").tolist() == [0] * 10
    (dev,) = read(out / "dev.jsonl.gz")
    assert dev.load_custom("said").tolist() == [1] * 6 + [2] * 4
    assert frame_labels(first, "said", 0.02, 5).tolist() == [3, 1, 1, 0, 3]  # of a model with 20 ms a frame


def test_a_cut_without_alignment_leaves_nothing_half_written(tmp_path, monkeypatch):
    train = write_cuts(tmp_path / "train.jsonl.gz", [("a", 0.0, 0.1)], None)
    with pytest.raises(UserError, match="cut dummy-mono-cut-0001 has no 'phone' alignment"):
        label(monkeypatch, tmp_path / "out", train)
    assert list((tmp_path / "out").iterdir()) == []


def test_two_files_of_one_name(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    paths = [write_cuts(folder / "a.jsonl.gz", [("a", 0.0, 0.1)]) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(UserError, match="same name"):
        label(monkeypatch, tmp_path / "out", *paths)
