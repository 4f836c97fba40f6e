import sys

import pytest

from mt4ssl.errors import UserError
from mt4ssl.lang.lexicon import add_disambiguation, choose_words, read_lexicon, write_lang
from mt4ssl.lang.symbols import read_symbols
from mt4ssl.lang.tokens import Tokens
from mt4ssl.lang.units.characters import Characters
from mt4ssl.lang.units.sentencepiece import SentencePieces


@pytest.fixture
def lang(tmp_path):
    write_lang(tmp_path, ["<blk>", "▁", *"ABCT"], ["A", "AT", "CAT"], lambda word: Characters(tmp_path).spell([word]))
    return tmp_path


def test_the_layout_is_that_of_icefall(lang):
    assert (lang / "tokens.txt").read_text().split("\n") == [
        "<blk> 0",
        "▁ 1",
        "A 2",
        "B 3",
        "C 4",
        "T 5",
        "#0 6",
        "#1 7",
        "",
    ]
    assert list(read_symbols(lang / "words.txt")) == ["<eps>", "<UNK>", "A", "AT", "CAT", "#0", "<s>", "</s>"]
    assert (lang / "lexicon.txt").read_text() == "A ▁ A\nAT ▁ A T\nCAT ▁ C A T\n"
    assert (lang / "lexicon_disambig.txt").read_text() == "A ▁ A #1\nAT ▁ A T\nCAT ▁ C A T\n"


def test_text_to_ids_and_back(lang):
    tokens = Tokens(lang)
    assert len(tokens) == 6
    assert tokens.encode("A  CAT", "u1") == [1, 2, 1, 4, 2, 5]
    assert tokens.decode([1, 2, 1, 4, 2, 5]) == "A CAT"
    assert tokens.encode("", "u1") == [] and tokens.decode([]) == ""


def test_ids_become_text_where_there_is_no_sentencepiece(lang, monkeypatch):
    """Stage 10 runs in an environment that has k2 and little else."""
    SentencePieces.make(lang, ["A CAT AT A CAT"] * 10, [], [], 8)
    assert Tokens(lang).unit.spell(["CAT"])
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    assert Tokens(lang).decode([1, 4, 2, 5]) == "CAT"
    with pytest.raises(ImportError):
        Tokens(lang).encode("CAT", "u1")


def test_an_unknown_character_names_the_utterance(lang):
    with pytest.raises(UserError, match="utterance u7: D O not in .*tokens.txt"):
        Tokens(lang).encode("A DOC", "u7")


@pytest.mark.parametrize(
    "text,said",
    [
        ("a 1\n", "<blk> first"),
        ("<blk> 0\na 2\n", "count up"),
        ("<blk> 0\na\n", "line 2"),
        ("<blk> 0\na 1\na 2\n", "line 3"),
    ],
)
def test_damaged_tables_are_errors(tmp_path, text, said):
    (tmp_path / "tokens.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        Tokens(tmp_path)


def test_disambiguated_spellings_are_all_different_and_none_begins_another(tmp_path):
    lexicon = [("A", ["x"]), ("B", ["x", "y"]), ("C", ["x", "y"]), ("D", ["x", "y", "z"]), ("E", ["z"])]
    marked, largest = add_disambiguation(lexicon)
    assert largest == 2 and [word for word, _ in marked] == list("ABCDE")
    for word, tokens in marked:
        for other, longer in marked:
            assert word == other or longer[: len(tokens)] != tokens


def test_a_lexicon_line_without_tokens_is_an_error(tmp_path):
    (tmp_path / "lexicon.txt").write_text("A ▁ A\nB\n")
    with pytest.raises(UserError, match="line 2"):
        read_lexicon(tmp_path / "lexicon.txt")


def test_vocabulary():
    from collections import Counter

    counts = Counter({"B": 3, "A": 3, "C": 5, "D": 1, "<UNK>": 9})
    assert choose_words(counts, None) == ["A", "B", "C", "D"]
    assert choose_words(counts, 2) == ["A", "C"]
    with pytest.raises(UserError, match="#0"):
        choose_words(Counter({"#0": 1}), None)
