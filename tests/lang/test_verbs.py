"""prepare_lang and train_lm as a user runs them."""

import subprocess
import sys

import pytest
from transcripts import write_transcripts

from mt4ssl.lang.ngram import perplexity
from mt4ssl.lang.symbols import read_symbols
from mt4ssl.lang.tokens import Tokens


def run(verb, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"mt4ssl.bin.{verb}", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture
def corpus(tmp_path):
    write_transcripts(tmp_path / "sup.jsonl.gz", ["THE CAT SAT ON A MAT"] * 20)
    (tmp_path / "lm.txt").write_text("THE DOG SAT\n\nA DOG ATE THE MAT\nTHE DOG ATE\n" * 5)
    return tmp_path


def prepare(corpus, *arguments):
    return run(
        "prepare_lang",
        "--supervisions",
        corpus / "sup.jsonl.gz",
        "--lm-text",
        corpus / "lm.txt",
        "--out",
        corpus / "lang",
        *arguments,
    )


def test_prepare_lang(corpus):
    done = prepare(corpus)
    assert done.returncode == 0 and "0 (0.00 %)" in done.stdout
    assert set(read_symbols(corpus / "lang/words.txt")) >= {"CAT", "DOG", "ATE"}
    assert Tokens(corpus / "lang").symbols == ["<blk>", "▁", *"ACDEGHMNOST"]


def test_a_smaller_vocabulary_counts_what_it_lacks(corpus):
    done = prepare(corpus, "--vocab-size", "4")
    assert "40 (33.33 %)" in done.stdout
    assert list(read_symbols(corpus / "lang/words.txt"))[2:-3] == ["A", "MAT", "SAT", "THE"]


def test_bpe(corpus):
    assert prepare(corpus, "--unit", "bpe", "--size", "18").returncode == 0
    tokens = Tokens(corpus / "lang")
    assert len(tokens) == 18 and tokens.symbols[0] == "<blk>"
    ids = tokens.encode("THE DOG SAT ON A CAT", "u")
    assert tokens.decode(ids) == "THE DOG SAT ON A CAT" and len(ids) < 25 and 0 not in ids
    for line in (corpus / "lang/lexicon.txt").read_text().splitlines():
        word, *pieces = line.split()
        assert "".join(pieces) == "▁" + word

    model = (corpus / "lang/bpe.model").read_bytes()
    assert prepare(corpus, "--unit", "bpe", "--size", "5000").returncode == 1
    assert (corpus / "lang/bpe.model").read_bytes() == model  # what was there stays whole

    assert prepare(corpus).returncode == 0
    assert Tokens(corpus / "lang").unit.spell(["CAT"]) == ["▁", *"CAT"]


def test_all_sets_get_tokens_and_held_out_ones_are_compared(corpus):
    write_transcripts(corpus / "more.jsonl.gz", ["THE ZOO"])
    write_transcripts(corpus / "dev.jsonl.gz", ["THE CAFÉ", "CAFÉ Ω"])
    done = prepare(corpus, "--held-out", corpus / "dev.jsonl.gz", corpus / "more.jsonl.gz")
    assert done.returncode == 0 and "more.jsonl.gz has 1 characters" in done.stderr and "Z in u0" in done.stderr
    assert "dev.jsonl.gz has 3 characters that no token spells (F in u0, É in u0, Ω in u1)" in done.stderr

    done = prepare(corpus, "--supervisions", corpus / "dev.jsonl.gz", corpus / "more.jsonl.gz")
    assert done.returncode == 0 and done.stderr == "" and {*"ZÉΩ"} <= {*Tokens(corpus / "lang").symbols}


SCRIPTS = {
    "Cyrillic": "Рх ёлка рх хор",  # the first two letters end in bytes, A0 and 85, that are white space in Latin-1
    "Devanagari": "हिन्दी क्\u200dष है हिन्दी",
    "Hebrew": "שלום עולם שלום רב",
    "Arabic": "می\u200cخواهم سلام دنیا سلام",
    "Chinese": "你 好 世 界 好",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_other_scripts(corpus, script):
    text = SCRIPTS[script]
    write_transcripts(corpus / "sup.jsonl.gz", [text] * 9)
    (corpus / "lm.txt").write_text(f"{text}\n" * 9, encoding="utf-8")
    done = prepare(corpus, "--words", "characters" if script == "Chinese" else "spaces")
    assert done.returncode == 0, done.stderr
    tokens, words = Tokens(corpus / "lang"), read_symbols(corpus / "lang/words.txt")
    assert set(text.split()) <= set(words)
    assert tokens.decode(tokens.encode(text, "u")) == text
    assert ("▁" in tokens.symbols) == (script != "Chinese")

    lm = ["--text", corpus / "lm.txt", "--words", corpus / "lang/words.txt", "--order", "3"]
    done = run("train_lm", *lm, "--out", corpus / "lm/x.arpa")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    arcs = [line.split() for line in (corpus / "lm/G_3_gram.fst.txt").read_text().splitlines()]
    assert {int(arc[3]) for arc in arcs if len(arc) >= 4} == {words[word] for word in text.split()} | {0}
    assert perplexity(corpus / "lm/x.arpa", [text])[1] == 0


@pytest.mark.parametrize("order", [2, 3, 4])
def test_train_lm(corpus, order):
    prepare(corpus)
    done = run(
        "train_lm",
        "--text",
        corpus / "lm.txt",
        "--words",
        corpus / "lang/words.txt",
        "--order",
        order,
        "--out",
        corpus / "lm/x.arpa",
    )
    assert done.returncode == 0 and f"{order}-grams" in done.stdout and done.stderr == ""
    backoff = read_symbols(corpus / "lang/words.txt")["#0"]
    arcs = [line.split() for line in (corpus / f"lm/G_{order}_gram.fst.txt").read_text().splitlines()]
    assert any(arc[2] == str(backoff) for arc in arcs if len(arc) >= 4)


def test_errors_are_one_line(corpus):
    prepare(corpus)
    (corpus / "empty.txt").write_text("\n")
    words = corpus / "lang/words.txt"
    lm = ["train_lm", "--words", words, "--out", corpus / "x.arpa"]
    cases = [
        (prepare(corpus, "--unit", "bpe", "--size", "5000"), "sentencepiece cannot make 5000 units"),
        (run(*lm, "--text", corpus / "no.txt"), "no.txt is missing"),
        (run(*lm, "--text", corpus / "empty.txt"), "has no sentences"),
        (
            run("prepare_lang", "--supervisions", corpus / "no.gz", "--lm-text", words, "--out", corpus),
            "no.gz is missing",
        ),
    ]
    (corpus / "empty.txt").write_bytes(b"THE CAF\xc9\n")
    cases += [
        (run(*lm, "--text", corpus / "empty.txt"), "empty.txt line 1: byte 0xc9 is not UTF-8"),
        (prepare(corpus, "--words", "characters"), "ATE is not a single character"),
    ]
    write_transcripts(
        corpus / "sup.jsonl.gz", ["THE CAT SAT ON A MAT", "THE \0"] * 20
    )  # sentencepiece gives NUL no unit
    cases.append((prepare(corpus, "--unit", "bpe", "--size", "18"), "utterance u1 has '\\x00', which no unit spells"))
    write_transcripts(corpus / "sup.jsonl.gz", ["THE CAT", " "])
    cases.append((prepare(corpus), "utterance u1 has no text"))
    for done, said in cases:
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (corpus / "x.arpa").exists()
