"""A part of another split."""

import pytest
from corpora import write_audio


@pytest.fixture
def splits(stage1):
    """A split of three recordings, and a part of it."""
    for name in ("a", "b", "c"):
        write_audio(stage1.folder / f"audio/{name}.wav")
    (stage1.folder / "ids.txt").write_text("c\r\na\n\n")
    splits = {
        "train": {"audio": str(stage1.folder / "audio")},
        "part": {"part_of": "train", "ids": str(stage1.folder / "ids.txt")},
    }
    assert stage1.prepare(splits).error == ""
    return splits


def test_a_list_of_ids(stage1, splits):
    found = stage1.run("part")
    assert [item.id for item in found.recordings] == [item.id for item in found.supervisions] == ["a", "c"]


def test_folders_of_audio(stage1, splits):
    for name in ("b", "c"):
        write_audio(stage1.folder / f"hours/{name}/1/{name}.flac")
    splits["part"]["ids"] = [str(stage1.folder / "hours/b"), str(stage1.folder / "hours/c")]
    found = stage1.prepare(splits, split="part")
    assert [item.id for item in found.supervisions] == ["b", "c"]


@pytest.mark.parametrize(
    "content, message",
    [
        ("a\nd\n", "utterance d is not in train, or was rejected: correct the list"),
        ("a\nb\na\n", "utterance a is listed 2 times: keep one"),
        ("", "lists no utterance"),
    ],
)
def test_faulty_lists(stage1, splits, content, message):
    (stage1.folder / "ids.txt").write_text(content)
    assert message in stage1.run("part").error


def test_what_is_missing(stage1, splits):
    (stage1.folder / "ids.txt").unlink()
    assert "ids.txt is missing: it says which utterances the part has" in stage1.run("part").error
    splits["part"]["part_of"] = "other"
    assert "stage 1" in stage1.prepare(splits, split="part").error


def test_text_where_it_is_needed(stage1, splits):
    assert "2 utterances of part have no text, such as a" in stage1.run("part", "--needs-text").error


def test_phones_of_a_part_are_read_and_what_says_nothing_of_it_is_refused(stage1, splits):
    ctm = stage1.folder / "phones.ctm"
    ctm.write_text("a 1 0.1 0.2 x\nc 1 0.2 0.1 y\n")
    splits["part"]["phones"] = str(ctm)
    found = stage1.prepare(splits, split="part")
    assert {item.id: item.alignment["phone"][0].symbol for item in found.supervisions} == {"a": "x", "c": "y"}
    ctm.write_text("a A 0.1 0.2 x\nc A 0.2 0.1 y\n")
    assert "lines must be `RECORDING CHANNEL START SECONDS PHONE`" in stage1.run("part").error
    splits["part"]["prefix"] = "p-"
    assert "prefix says nothing of a part: put it at train" in stage1.prepare(splits, split="part").error
