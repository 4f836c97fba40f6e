"""Cuts read one at a time: the same as Lhotse reads them, whatever happens to the manifest, in every process."""

import pickle

import numpy as np
import pytest
from lhotse import CutSet, load_manifest
from lhotse.testing.dummies import DummyManifest, dummy_cut

from mt4ssl.data.cuts import Cuts
from mt4ssl.errors import UserError


@pytest.fixture
def written():
    """Plain cuts, one whose id needs escapes in JSON, and a mixed one."""
    cuts = list(DummyManifest(CutSet, begin_id=0, end_id=5, with_data=False))
    return CutSet.from_cuts([*cuts, dummy_cut(5).with_id('a "quoted", \\ id'), dummy_cut(6, duration=1.25).pad(2.5)])


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_cuts_are_those_of_lhotse(written, tmp_path, name):
    written.to_file(tmp_path / name)
    cuts = Cuts.read(tmp_path / name)
    assert list(cuts) == list(load_manifest(tmp_path / name))
    assert cuts.durations.tolist() == [cut.duration for cut in written]
    assert (len(cuts), cuts[np.int64(5)].id, cuts[-1].duration) == (7, 'a "quoted", \\ id', 2.5)


def test_some_of_the_cuts(written, tmp_path):
    written.to_file(tmp_path / "cuts.jsonl.gz")
    cuts = Cuts.read(tmp_path / "cuts.jsonl.gz").take([6, 0, 2])
    assert [cut.id for cut in cuts] == [written[6].id, written[0].id, written[2].id]
    assert cuts.durations.tolist() == [2.5, 1.0, 1.0]


def test_a_rewritten_manifest_is_read_anew_and_changes_no_cuts_in_use(written, tmp_path):
    path = tmp_path / "cuts.jsonl"
    written.to_file(path)
    before = Cuts.read(path)
    CutSet.from_cuts(reversed(list(written))).to_file(path)
    assert list(before) == list(written)
    assert list(Cuts.read(path)) == list(reversed(list(written)))


def test_nothing_is_left_behind(written, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written.to_file(tmp_path / "cuts.jsonl.gz")
    assert list(Cuts.read(tmp_path / "cuts.jsonl.gz")) == list(written)
    assert [path.name for path in tmp_path.iterdir()] == ["cuts.jsonl.gz"]


def test_cuts_can_be_sent_to_another_process(written, tmp_path):
    written.to_file(tmp_path / "cuts.jsonl.gz")
    received = pickle.loads(pickle.dumps(Cuts.read(tmp_path / "cuts.jsonl.gz").take([3, 5])))
    assert list(received) == [written[3], written[5]]


@pytest.mark.parametrize("content", [b"not gzip", b"\x1f\x8b\x08"])
def test_a_broken_manifest(tmp_path, content):
    path = tmp_path / "cuts.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cuts.jsonl.gz is broken"):
        Cuts.read(path)


def test_a_broken_line(tmp_path):
    (tmp_path / "cuts.jsonl").write_text('{"id": \n')
    with pytest.raises(UserError, match="cuts.jsonl is broken"):
        Cuts.read(tmp_path / "cuts.jsonl")
