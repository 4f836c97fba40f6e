"""Text for language models, from files as people have them."""

import gzip
import re

import pytest
from lang.test_verbs import run
from transcripts import write_transcripts

from mt4ssl.errors import UserError
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.transcripts import read_transcripts

CONFIG = "splits: {}\ntext: {case: upper, punctuation: remove, words: %s}\n"


@pytest.fixture
def corpus(tmp_path):
    write_transcripts(tmp_path / "train.jsonl.gz", ["THE CAT SAT", "ÇA VA", "THE MAT"])
    write_transcripts(tmp_path / "test.jsonl.gz", ["THE DOG"])
    return tmp_path


def prepare(folder, lm_text=(), words="spaces"):
    lines = [f"  - {folder}/{pattern}\n" for pattern in lm_text]
    config = CONFIG % words + ("lm_text:\n" + "".join(lines) if lines else "")
    (folder / "corpus.yaml").write_text(config, encoding="utf-8")
    arguments = ["--corpus", folder / "corpus.yaml", "--supervisions", folder / "train.jsonl.gz"]
    return run("prepare_lm_text", *arguments, "--held-out", folder / "test.jsonl.gz", "--out", folder / "lm.txt")


def rows(done):
    """{name of a row: its value} of the table."""
    return dict(re.split(r"  +", line.strip()) for line in done.stdout.splitlines()[4:] if line.strip())


def test_without_lm_text_the_transcripts_serve(corpus):
    done = prepare(corpus)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert (corpus / "lm.txt").read_text(encoding="utf-8") == "THE CAT SAT\nÇA VA\nTHE MAT\n"


def test_files_of_any_kind_get_the_form_of_the_transcripts(corpus):
    (corpus / "a.txt").write_bytes("\ufeffThe cat,\r\n\r\nC\u0327a va\u2028the\x85mat!\n".encode())
    with gzip.open(corpus / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("the cat sat.\nthe dog!")
    done = prepare(corpus, ["*.txt", "a.*", "b.*"])
    assert done.returncode == 0, done.stderr
    lines = (corpus / "lm.txt").read_text(encoding="utf-8").split("\n")
    assert lines == ["THE CAT", "ÇA VA THE MAT", "THE CAT SAT", "THE DOG", ""]
    assert done.stderr.startswith("warning: 1 sentences of lm_text are sentences of dev too")
    assert "100.00 %" in done.stdout
    found = rows(done)
    assert (found["sentences"], found["words"], found["vocabulary"]) == ("4", "11", "7")


def test_characters_of_a_language_without_spaces(corpus):
    write_transcripts(corpus / "train.jsonl.gz", ["你 好"])
    (corpus / "a.txt").write_text("你好，世界。\n", encoding="utf-8")
    assert prepare(corpus, ["a.txt"], "characters").returncode == 0
    assert (corpus / "lm.txt").read_text(encoding="utf-8") == "你 好 世 界\n"


def test_few_of_the_words_of_the_transcripts_give_a_warning(corpus):
    (corpus / "a.txt").write_text("the cat sat ça\n", encoding="utf-8")
    done = prepare(corpus, ["a.txt"])
    assert done.returncode == 0 and "has 71 % of the words of the transcripts" in done.stderr  # 5 of 7


@pytest.mark.parametrize(
    "content, said",
    [
        (b"the cat sat\ncaf\xe9\n", "a.txt line 2: byte 0xe9 is not UTF-8"),
        (b"\n \n", "no file of lm_text has a sentence"),
        ("кот сел кот\n".encode(), "only 0 % of the words of the transcripts.*КОТ, that of the transcripts THE"),
    ],
)
def test_files_that_do_not_serve_are_one_line(corpus, content, said):
    (corpus / "a.txt").write_bytes(content)
    done = prepare(corpus, ["*.txt"])
    assert done.returncode == 1 and re.search(said, done.stderr) and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (corpus / "lm.txt").exists()


def test_a_pattern_without_files_is_an_error(corpus):
    done = prepare(corpus, ["no*.txt"])
    assert done.returncode == 1 and "there is no file" in done.stderr and "no*.txt" in done.stderr


def test_damaged_supervisions_name_file_and_line(corpus):
    path = corpus / "train.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"train.jsonl.gz cannot be read after line \d"):
        read_transcripts(path)
    path.write_bytes(b"text")
    with pytest.raises(UserError, match="train.jsonl.gz cannot be read after line 0"):
        read_transcripts(path)
    line = gzip.decompress(whole).splitlines()[0]
    for broken in (line[:30], b"[1]", b'{"text": "A"}', b'{"id": "a", "text": 1}'):
        path.write_bytes(gzip.compress(line + b"\n" + broken + b"\n"))
        with pytest.raises(UserError, match="train.jsonl.gz line 2 is not a supervision"):
            read_transcripts(path)


def test_only_a_newline_ends_a_line(tmp_path):
    (tmp_path / "x").write_bytes("a\u2028b\x85c\x0bd\r\n\ne".encode())
    assert list(read_lines(tmp_path / "x")) == ["a\u2028b\x85c\x0bd", "", "e"]
