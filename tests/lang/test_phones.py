"""Phones as units: what a lexicon says, and for the words that it lacks a model of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from transcripts import write_transcripts

from mt4ssl.errors import UserError
from mt4ssl.lang.lexicon import read_lexicon, write_lang
from mt4ssl.lang.tokens import Tokens, copy_tokens, find_unknown
from mt4ssl.lang.units.phones import Phones

LEXICON = """
the DH AH
the DH IY
cat K AE T
sat S AE T
mat M AE T
a AH
an AE N
Ann AE N
"""


@pytest.fixture
def lexicon(tmp_path):
    (tmp_path / "lexicon.txt").write_text(LEXICON.lstrip())
    return str(tmp_path / "lexicon.txt")


def make_lang(folder: Path, lexicon: str, words: list[str], transcripts: list[str]) -> Tokens:
    unit = Phones.make(folder, transcripts, [], words, 0, lexicon)
    write_lang(folder, unit, words)
    return Tokens(folder)


def test_all_pronunciations_are_in_the_graph_and_the_first_is_trained_on(tmp_path, lexicon):
    tokens = make_lang(tmp_path / "lang", lexicon, ["A", "AN", "ANN", "CAT", "THE"], ["THE CAT"])
    assert tokens.symbols == ["<blk>", "AE", "AH", "DH", "IY", "K", "M", "N", "S", "T"]
    assert read_lexicon(tmp_path / "lang/lexicon.txt") == [
        ("A", ["AH"]), ("AN", ["AE", "N"]), ("ANN", ["AE", "N"]), ("CAT", ["K", "AE", "T"]),
        ("THE", ["DH", "AH"]), ("THE", ["DH", "IY"]),
    ]  # fmt: skip
    marked = dict(read_lexicon(tmp_path / "lang/lexicon_disambig.txt"))
    assert (marked["AN"], marked["ANN"]) == (["AE", "N", "#1"], ["AE", "N", "#2"])
    spoken = [tokens.symbols[token] for token in tokens.encode("THE CAT", "u")]
    assert spoken == ["DH", "AH", "K", "AE", "T"]
    assert tokens.decode(tokens.encode("the cat", "u")) == tokens.reference("THE CAT") == "DH AH K AE T"
    assert tokens.pronunciations("THE CAT", "u") == [[[3, 2], [3, 4]], [[5, 1, 9]]]
    assert list(tokens.unit.measures) == ["per"]


def test_a_model_s_folder_spells_words_too(tmp_path, lexicon):
    make_lang(tmp_path / "lang", lexicon, ["CAT", "TAM"], ["THE CAT"])
    copy_tokens(tmp_path / "lang", tmp_path / "model")
    here, there = Tokens(tmp_path / "lang"), Tokens(tmp_path / "model")
    for text in ("THE CAT TAM", "MASTAC"):  # the last is in no list: the model of the lexicon says it
        assert here.encode(text, "u") == there.encode(text, "u")


def test_a_word_that_nobody_can_pronounce_is_spoken_noise(tmp_path, lexicon):
    tokens = make_lang(tmp_path / "lang", lexicon, ["CAT", "ΩΩ"], ["THE ΩΩ"])
    assert tokens.unit.unpronounced(["CAT", "ΩΩ", "THE"]) == ["ΩΩ"]
    assert "SPN" in tokens.symbols and tokens.reference("CAT ΩΩ") == "K AE T SPN"

    tokens = make_lang(tmp_path / "known", lexicon, ["CAT"], ["THE CAT"])
    assert not (tmp_path / "known/g2p.txt").exists()
    assert tokens.unknown("CAT ΩΩ") == ["SPN"] and tokens.encode("ΩΩ CAT", "u", skip_unknown=True)
    with pytest.raises(UserError, match="utterance u7: SPN not in"):
        tokens.encode("ΩΩ", "u7")


def test_noise_in_a_transcript_is_spoken_noise(tmp_path, lexicon):
    """Lexicons have words in angle brackets, or with a `!`, for noise and silence, and those are not read from them."""
    (tmp_path / "lexicon.txt").write_text(LEXICON.lstrip() + "<noise> NSN\n!sil SIL\n")
    text = "THE <noise> CAT !word"
    assert find_unknown(Phones.make(tmp_path, [text], [], [], 0, lexicon), {"u": text}) == {}  # stage 6 would stop
    tokens = make_lang(tmp_path / "lang", lexicon, text.split(), [text])
    assert tokens.unknown(text) == [] and not {"NSN", "SIL"} & set(tokens.symbols)
    assert tokens.reference(text) == "DH AH SPN K AE T SPN"
    assert tokens.unit.unpronounced(text.split()) == ["<noise>", "!word"]


def test_how_unicode_writes_a_letter_makes_no_other_word(tmp_path):
    """Transcripts are in NFC; lexicons may not be, and with punctuation: remove an apostrophe is always `'`."""
    (tmp_path / "lexicon.txt").write_text("Cafe\u0301 K A F E\nl\u2019eau L O\na\u2010b A B\n", encoding="utf-8")
    text = "CAF\u00c9 l'eau l\u2019eau a-b"
    tokens = make_lang(tmp_path / "lang", str(tmp_path / "lexicon.txt"), text.split(), [text])
    assert tokens.reference(text) == "K A F E L O L O A B"
    assert not (tmp_path / "lang/g2p.txt").exists()
    copy_tokens(tmp_path / "lang", tmp_path / "model")
    assert Tokens(tmp_path / "model").reference(text) == tokens.reference(text)


def test_english_needs_no_file(tmp_path):
    tokens = make_lang(tmp_path, "cmudict", ["TOMATO"], ["A TOMATO"])
    assert len(tokens) == 40
    assert [tokens.unit.read(tokens.symbols[t] for t in way) for way in tokens.pronunciations("TOMATO", "u")[0]] == [
        "T AH M EY T OW",
        "T AH M AA T OW",
    ]


def test_prepare_lang_counts_and_lists_what_has_no_pronunciation(tmp_path, lexicon):
    write_transcripts(tmp_path / "sup.jsonl.gz", ["THE CAT SAT ΩΩ"] * 2)
    (tmp_path / "lm.txt").write_text("THE MAT ЖЖ\n", encoding="utf-8")
    command = [sys.executable, "-m", "mt4ssl.bin.prepare_lang", "--supervisions", tmp_path / "sup.jsonl.gz"]
    command += ["--lm-text", tmp_path / "lm.txt", "--unit", "phone", "--out", tmp_path / "lang"]
    done = subprocess.run([*command, "--lexicon", lexicon], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "words nobody can pronounce (unpronounced.txt)" in done.stdout
    assert (tmp_path / "lang/unpronounced.txt").read_text(encoding="utf-8") == "ΩΩ 2\nЖЖ 0\n"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "--lexicon cmudict for English" in done.stderr
