"""The form of text, with Python's tables of Unicode as oracle."""

import itertools
import random
import sys
import unicodedata

import pytest

from mt4ssl.lang.text import TextConfig, graphemes

CHARACTERS = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) not in ("Cn", "Co")]
FORMS = [
    TextConfig(*form)
    for form in itertools.product(["keep", "upper", "lower"], ["keep", "remove"], ["spaces", "characters"])
]


def random_texts(number):
    rng = random.Random(0)
    for _ in range(number):
        yield "".join(
            rng.choices(CHARACTERS, k=3) + rng.choices("a'- \u0301\u200d\u2019", k=3) + rng.choices(CHARACTERS)
        )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_any_text_gets_one_form_and_keeps_it(form):
    for text in random_texts(1500):
        normal = form.normalise(text)
        assert form.normalise(normal) == normal, ascii(text)
        assert unicodedata.is_normalized("NFC", normal)
        assert form.normalise(unicodedata.normalize("NFD", text)) == form.normalise(unicodedata.normalize("NFC", text))
        assert normal == " ".join(normal.split()) and normal.encode("utf-8")
        if form.words == "characters":
            assert all(sum(unicodedata.category(c)[0] != "M" for c in word) <= 1 for word in normal.split())


def test_punctuation_and_symbols_go_and_nothing_else():
    remove = TextConfig(punctuation="remove")
    for character in CHARACTERS:
        normal = unicodedata.normalize("NFC", character)
        major = unicodedata.category(normal[0])[0]
        if major in "PS" and len(normal) == 1:
            assert remove.normalise(f"a {character} b") == "a b", ascii(character)
        elif major in "LN" and normal != "\u02bc":
            assert remove.normalise(f"a {character} b") == f"a {normal} b", ascii(character)


@pytest.mark.parametrize(
    "text, normal",
    [
        ("“Don’t!”, he said — well-known.", "DON'T HE SAID WELL-KNOWN"),
        ("'tis the dogs' 'n' rock-'n'-roll--yes -", "TIS THE DOGS N ROCK N ROLL YES"),
        ("м’ята, м\u02bcята; Ёлка?", "М'ЯТА М'ЯТА ЁЛКА"),
        ("\ufeffa\u200bb\u00adc\u202ed\x00 e\u2028f\x85g\u00a0h", "ABCD E F G H"),
        ("cafe\u0301 ❤\ufe0f 1\ufe0f\u20e3 50 %", "CAFÉ 1 50"),
        ("क्षि-की। नमस्ते, क्\u200dष क \u200dक\u200d", "क्षि-की नमस्ते क्\u200dष क क"),
        ("می\u200cخواهم؟ x\u200cy", "می\u200cخواهم XY"),
        ("\u200fשלום, עולם!\u200e", "שלום עולם"),
        ("你好，世界。", "你好 世界"),
        ("straße", "STRASSE"),
    ],
)
def test_upper_case_without_punctuation(text, normal):
    assert TextConfig("upper", "remove").normalise(text) == normal


def test_characters_as_words():
    assert TextConfig(punctuation="remove", words="characters").normalise("你好，don’t 世界") == "你 好 d o n t 世 界"
    assert TextConfig(words="characters").normalise("हिन्दी e\u0301!") == "हि न् दी é !"


def test_what_is_kept_is_kept():
    assert TextConfig().normalise(" Don’t,\tshe  said! ") == "Don’t, she said!"


def test_graphemes_lose_nothing():
    for text in random_texts(1000):
        assert "".join(graphemes(text)) == "".join(text.split())
