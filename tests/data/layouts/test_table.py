"""Tables: comma-separated with quotes, tab-separated without."""

import gzip

import pytest
from corpora import noise, write_audio

HEADER = "audio,id,text,speaker,gender,start,end\n"


@pytest.fixture
def table(stage1):
    """Writes a table, beside the recordings r1 and r2 of two seconds and other/r1; returns its split."""
    for name in ("r1", "r2", "other/r1"):
        write_audio(stage1.folder / f"{name}.wav", noise(2))

    def write(content, name="all.csv", **options):
        opened = gzip.open if name.endswith(".gz") else open
        (stage1.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with opened(stage1.folder / name, "wt", encoding="utf-8", newline="") as file:
            file.write(content)
        return {"table": str(stage1.folder / name), "relative_to": str(stage1.folder), **options}

    return write


def fields(found, *names):
    return [tuple(getattr(segment, name) for name in names) for segment in found.supervisions]


def test_all_columns(stage1, table):
    found = stage1.prepare(
        table(HEADER + 'r1.wav,a,"one, ""two""",A,f,0.25,1\nr1.wav,b,three,A,f,1,\nr2.wav,c,,B,,,2\n')
    )
    assert fields(found, "id", "start", "duration", "text", "speaker", "gender") == [
        ("a", 0.25, 0.75, 'one, "two"', "A", "f"),
        ("b", 1.0, 1.0, "three", "A", "f"),
        ("c", 0.0, 2.0, None, "B", None),
    ]
    assert len(found.recordings) == 2 and found.report == []


def test_audio_alone_gives_the_ids(stage1, table):
    found = stage1.prepare(table("audio\nr1.wav\nother/r1.wav\nr2.wav\nr2.wav\n"))
    assert fields(found, "id", "recording_id") == [("r1", "r1"), ("r1-row-000002",) * 2, ("r2", "r2")]
    assert found.reasons == {"r2": ("id stands twice: the first is taken", "rejected")}


def test_where_relative_paths_start(stage1, table, monkeypatch):
    """In the current folder, else in the table's, else in the nearest one above it."""
    for place, seconds in (("here/r1", 1), ("lists/deep/r2", 3), ("lists/r2", 4), ("lists/r3", 5)):
        write_audio(stage1.folder / f"{place}.wav", noise(seconds))
    monkeypatch.chdir(stage1.folder / "here")
    long = 300 * "x"
    split = table(f"audio\nr1.wav\nr2.wav\nr3.wav\n{long}.wav\n", "lists/deep/all.csv", relative_to=None)
    found = stage1.prepare(split)
    assert fields(found, "id", "duration") == [("r1", 1), ("r2", 3), ("r3", 5)]
    assert [row.reason for row in found.report if row.done == "rejected"] == ["the audio file cannot be opened"]


def test_segments_without_ids(stage1, table):
    found = stage1.prepare(table("audio,start,end\nr1.wav,0,1\nr1.wav,1,2\n"))
    assert fields(found, "id", "start", "end") == [("r1-row-000001", 0, 1), ("r1-row-000002", 1, 2)]
    assert len(found.recordings) == 1


def test_where_may_be_a_number(stage1, table):
    found = stage1.prepare(table("audio,fold\nr1.wav,1\nr2.wav,2\n", where={"fold": 2}))
    assert list(found.supervisions.ids) == ["r2"]


def test_where_and_columns_of_a_tab_separated_table(stage1, table):
    content = 'path\tsentence\tclient_id\tset\nr1.wav\tsay "one\tA\tdev\nr2.wav\ttwo\tB\ttrain\n'
    columns = {"audio": "path", "text": "sentence", "speaker": "client_id"}
    found = stage1.prepare(table(content, "all.tsv", where={"set": "dev"}, columns=columns))
    assert fields(found, "id", "text", "speaker") == [("r1", 'say "one', "A")]


def test_a_column_without_a_name(stage1, table):
    assert fields(stage1.prepare(table(",audio\n0,r1.wav\n1,r2.wav\n")), "id") == [("r1",), ("r2",)]


def test_byte_order_mark_and_carriage_returns_and_gzip(stage1, table):
    found = stage1.prepare(table("\ufeffaudio\ttext\r\nr1.wav\tone\r\n", "all.tsv.gz"))
    assert found.texts == {"r1": "one"}


@pytest.mark.parametrize(
    "row, reason",
    [
        ("r1.wav,a,b", "more or fewer fields than the header has"),
        ("r1.wav,a,b,,,1,2,3", "more or fewer fields than the header has"),
        (",a,b,,,1,2", "no audio is named"),
        ("r1.wav,a,b,,,one,2", "start or end is no number of seconds"),
        ("r1.wav,a,b,,,1,inf", "start or end is no number of seconds"),
    ],
)
def test_rows_that_cannot_be_understood(stage1, table, row, reason):
    found = stage1.prepare(table(f"{HEADER}{row}\nr2.wav,c,,,,,\n"))
    assert list(found.reasons.values()) == [(reason, "rejected")]
    assert fields(found, "id") == [("c",)]


@pytest.mark.parametrize(
    "content, options, message",
    [
        ("r1.wav\nr2.wav\n", {}, "has no column 'audio', its first line is 'r1.wav': give it a header"),
        ("r1.wav\n", {}, "has no column 'audio'"),
        ("", {}, "has no column 'audio'"),
        ("file\nr1.wav\n", {"columns": {"audio": "path"}}, "has no column 'path', its first line is 'file'"),
        ("audio\nr1.wav\n", {"where": {"set": "dev"}}, "has no column 'set'"),
        ("audio\nr1.wav\n", {"columns": {"transcript": "text"}}, "columns: transcript is none of audio, id, text"),
        ("audio\n", {}, "split train is empty"),
        ("audio\nr1.wav\n", {"where": {"audio": "r3.wav"}}, "split train is empty"),
        ("audio,text\nr1.wav,\"" + "x" * 140000, {}, "is no table up to line 2 (field larger than field limit"),
        ("audio,text\nr1.wav,\"one\nr2.wav,two\n", {}, "is no table up to line 3 (unexpected end of data)"),
        ("audio,text\nr1.wav,\"one\nr2.wav,\"two\"\n", {}, "look for a quotation mark without its pair"),
    ],
)  # fmt: skip
def test_errors(stage1, table, content, options, message):
    assert message in stage1.prepare(table(content, **options)).error


def test_broken_files(stage1, table):
    split = table("audio\n" + "r1.wav\n" * 1000, "all.csv.gz")
    path = stage1.folder / "all.csv.gz"
    path.write_bytes(path.read_bytes()[:-10])
    assert f"{path} cannot be read after line" in stage1.prepare(split).error
    path.write_bytes(b"audio\n")
    assert f"{path} cannot be read after line 0" in stage1.prepare(split).error
    path = stage1.folder / "latin1.csv"
    path.write_bytes("audio,text\nr1.wav,garçon\n".encode("latin-1"))
    assert f"{path} line 2: byte 0xe7 is not UTF-8" in stage1.prepare({"table": str(path)}).error
    assert "cannot be read after line 0" in stage1.prepare({"table": str(stage1.folder)}).error
    assert "nowhere.csv is missing: the split's table" in stage1.prepare({"table": "nowhere.csv"}).error


def test_no_command_is_run(stage1, table):
    flag = stage1.folder / "run"
    assert "add `commands: true`" in stage1.prepare(table(f"audio\ntouch '{flag}' |\n")).error
    assert not flag.exists()
