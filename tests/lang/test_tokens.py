import sys

import pytest

from mt4ssl.errors import UserError
from mt4ssl.lang.lexicon import add_disambiguation, choose_words, read_lexicon, write_lang
from mt4ssl.lang.symbols import is_disambiguation, read_symbols
from mt4ssl.lang.tokens import Tokens, find_unknown
from mt4ssl.lang.units.characters import Characters, CharacterWords
from mt4ssl.lang.units.sentencepiece import SentencePieces


@pytest.fixture
def lang(tmp_path):
    write_lang(tmp_path, Characters.make(tmp_path, ["ABCT"], [], [], 0), ["A", "AT", "CAT"])
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
    assert Tokens(lang).encode("A DOC", "u7", skip_unknown=True) == [1, 2, 1, 4]
    assert find_unknown(Characters.make(lang, ["A"], [], [], 0), {"u1": "A", "u2": "AB", "u3": "B C"}) == {
        "B": "u2",
        "C": "u3",
    }


def test_characters_that_are_words_have_no_boundary(tmp_path):
    unit = CharacterWords.make(tmp_path, ["हि न् 你"], [], ["好"], 0)
    write_lang(tmp_path, unit, ["你", "好"])
    tokens = Tokens(tmp_path)
    assert tokens.symbols == ["<blk>", *sorted(["हि", "न्", "你", "好"])]
    assert tokens.decode(tokens.encode("你 好 हि 你", "u")) == "你 好 हि 你"
    assert (tmp_path / "lexicon_disambig.txt").read_text(encoding="utf-8") == "你 你\n好 好\n"
    with pytest.raises(UserError, match="你好 is not a single character: set words: characters"):
        CharacterWords.make(tmp_path, ["你好"], [], [], 0)


def test_units_that_look_like_symbols_of_a_lang_dir(tmp_path):
    text = "A#1 B#1 #1 C#1 X#12 A<eps> B<eps> C<UNK> D<UNK> 12 ab<s>x ab<s>y"
    others = [f"THE CAT SAT ON THE MAT {letter * 3}" for letter in "ABCDEFGH"] * 5
    unit = SentencePieces.make(tmp_path, [text] * 50 + others, [], [], 42)
    write_lang(tmp_path, unit, text.split())
    tokens = Tokens(tmp_path)  # `#1` was a unit, and counted as a disambiguation symbol
    ids = tokens.encode(text, "u")
    assert len(tokens) == len(unit.tokens) == 42
    assert 0 not in ids and tokens.decode(ids) == text


def test_disambiguation_symbols():
    assert [token for token in ("#0", "#12", "#", "#²", "#1a", "1", "▁#1", "#１") if is_disambiguation(token)] == [
        "#0",
        "#12",
    ]


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
    for word in ("#0", "<s>", "</s>", "<eps>", "A▁B", "A<blk>", "<unk>"):
        with pytest.raises(UserError, match=f"the text has {word} as a word.* set punctuation: remove in corpus.yaml"):
            choose_words(Counter({word: 1}), None)
