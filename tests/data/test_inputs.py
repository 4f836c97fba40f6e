"""Whatever people have in their corpora: repaired and said, or rejected by name. tests/README.md lists it all."""

from pathlib import Path

import kaldiio
import numpy as np
import pytest
from corpora import noise, write_audio
from lhotse import CutSet

from mt4ssl.data.features import compute_features
from mt4ssl.data.storage import write_ark

TIMES = {
    "0.5,1.5": None,
    "0.5,": None,
    ",1.5": None,
    "0.5,2.0005": None,
    "0.5,2.05": ("the segment ends just after its audio", "ends with it"),
    "0.5,2.5": ("the segment ends after its audio", "rejected"),
    "3,4": ("the segment ends after its audio", "rejected"),
    "3,": ("the segment starts outside of its audio", "rejected"),
    "-1,1": ("the segment starts outside of its audio", "rejected"),
    "1.5,0.5": ("the segment ends before it starts", "rejected"),
    "1,1": ("the segment ends before it starts", "rejected"),
    "1,1.01": ("shorter than a frame", "rejected"),
}


def test_times_of_segments(stage1):
    rows = [f"{write_audio(stage1.folder / f'{n}.wav', noise(2))},{n},{times}\n" for n, times in enumerate(TIMES)]
    (stage1.folder / "all.csv").write_text("audio,id,start,end\n" + "".join(rows))
    found = stage1.prepare({"table": str(stage1.folder / "all.csv")})
    expected = {str(number): reason for number, reason in enumerate(TIMES.values()) if reason}
    assert found.reasons == expected
    assert set(found.supervisions.ids) == {
        str(number) for number in range(len(TIMES)) if "rejected" not in expected.get(str(number), ())
    }
    assert found.supervisions["4"].end == 2.0


def test_segments_that_overlap_are_taken_and_said(stage1):
    audio = write_audio(stage1.folder / "r.wav", noise(4))
    rows = [f"{audio},{name},{times}\n" for name, times in (("a", "0,2"), ("b", "1,3"), ("c", "2.95,4"))]
    (stage1.folder / "all.csv").write_text("audio,id,start,end\n" + "".join(rows))
    found = stage1.prepare({"table": str(stage1.folder / "all.csv")})
    assert found.reasons == {"b": ("overlaps with another segment", "taken as it is")}
    assert found.report[0].detail == "with a" and len(found.supervisions) == 3


IDS = [
    "plain", "plain", "a b", "a/b", "a_b", "a_b-2", "../../x", "it's", 'say "x"', "$(touch x)", "`touch x`",
    "x; touch x", "naïve", "nai\u0308ve", "日本語", "line\nbreak", "tab\tstop", "-rf", ".hidden", "a|", "*", "%s{}",
    "\u202eright", "x" * 300,
]  # fmt: skip


def test_ids_with_anything_in_them_do_no_harm(stage1, monkeypatch):
    monkeypatch.chdir(stage1.folder)
    quoted = [name.replace('"', '""') for name in IDS]
    audio = [write_audio(stage1.folder / f"{number}.wav", noise(0.5)) for number in range(len(IDS))]
    content = "".join(f'"{name}",{file}\n' for name, file in zip(quoted, audio))
    (stage1.folder / "all.csv").write_text(f"id,audio\n{content}", encoding="utf-8")
    found = stage1.prepare({"table": str(stage1.folder / "all.csv")})
    names = set(found.supervisions.ids)
    assert len(names) == len(IDS) - 1  # "plain" stands twice
    assert found.reasons["plain"] == ("id stands twice: the first is taken", "rejected")
    unchanged = {"plain", "naïve", "日本語"}
    assert unchanged <= names
    changed = [f"was {name!r}" for name in IDS if name not in unchanged]
    assert [row.detail for row in found.report if row.done == "given another id"] == changed
    assert not any(set(name) & set(" /'\"$`\n\t|*;\u202e") or name[0] in "-." or len(name) > 200 for name in names)

    cuts = CutSet.from_manifests(found.recordings, found.supervisions).trim_to_supervisions()
    cuts = CutSet.from_cuts(cut.with_id(cut.supervisions[0].id) for cut in cuts)
    shards = compute_features(cuts, len(cuts), "these", "fbank", stage1.folder / "feats", 1)
    arrays = {cut.id: cut.load_features() for cut in CutSet.from_files(shards)}
    assert arrays.keys() == names
    write_ark(stage1.folder / "feats", arrays.items())
    stored = kaldiio.load_scp(str(stage1.folder / "feats.scp"))
    assert set(stored) == names
    for name in names:
        np.testing.assert_array_equal(stored[name], arrays[name])
    assert not (stage1.folder / "x").exists() and not (stage1.folder.parent / "x").exists()


def transcribed(stage1, texts, **form):
    """What stage 1 gives of one-second utterances with these texts, where text is needed."""
    audio = write_audio(stage1.folder / "r.wav", noise(len(texts) + 1))
    rows = [f'{audio},{number},"{text}",{number},{number + 1}\n' for number, text in enumerate(texts)]
    content = "audio,id,text,start,end\n" + "".join(rows)
    (stage1.folder / "all.csv").write_text(content, encoding="utf-8-sig", newline="\r\n")
    return stage1.prepare({"table": str(stage1.folder / "all.csv")}, "--needs-text", **({"text": form} if form else {}))


def test_transcripts_are_taken_in_one_form(stage1):
    texts = ["lower case", "IN 1984 (SIC)", "e\u0301te\u0301", "  two   spaces ", "line\nbreak", "שלום עולם", "مرحبا"]
    found = transcribed(stage1, texts)
    expected = ["lower case", "IN 1984 (SIC)", "été", "two spaces", "line break", "שלום עולם", "مرحبا"]
    assert list(found.texts.values()) == expected and found.report == []
    (others,) = [line for line in found.printed.splitlines() if line.startswith("characters, others:")]
    assert others.split(": ", 1)[1].split() == ["1:1", "9:1", "8:1", "4:1", "(:1", "):1"]
    (letters,) = [line for line in found.printed.splitlines() if line.startswith("characters, letters:")]
    assert {"e:5", "é:2", "ש:1", "م:1"} <= set(letters.split())


def test_transcripts_in_upper_case_without_punctuation(stage1):
    found = transcribed(stage1, ["It's 5, isn't it?", "straße"], case="upper", punctuation="remove")
    assert list(found.texts.values()) == ["IT'S 5 ISN'T IT", "STRASSE"]


def test_transcripts_that_cannot_be_learned_from_are_rejected(stage1):
    found = transcribed(stage1, ["", "   ", "?!", "much " * 20, "fine"], punctuation="remove")
    assert found.reasons == dict.fromkeys("012", ("no text, which labelled, dev and test sets need", "rejected")) | {
        "3": ("more text than can be said in its time", "rejected")
    }
    assert found.texts == {"4": "fine"}


def test_text_of_long_audio_needs_segments(stage1):
    audio = write_audio(stage1.folder / "r.wav", noise(61, 8000), 8000)
    (stage1.folder / "all.csv").write_text(f"audio,text\n{audio},words\n")
    split = {"table": str(stage1.folder / "all.csv")}
    found = stage1.prepare(split, "--needs-text")
    assert "1 x too long to learn its text from: it needs segments" in found.error
    assert [segment.text for segment in stage1.prepare(split).supervisions] == [None] * 6


def test_text_that_is_not_utf_8_is_named_with_its_line(stage1):
    (stage1.folder / "wav.scp").write_text(f"a {write_audio(stage1.folder / 'a.wav')}\n")
    (stage1.folder / "text").write_bytes("b ok\na garçon\n".encode("latin-1"))
    assert f"{stage1.folder}/text line 2: byte 0xe7 is not UTF-8" in stage1.prepare({"kaldi": str(stage1.folder)}).error


def test_audio_without_text_is_rejected_only_where_text_is_needed(stage1):
    write_audio(stage1.folder / "a.wav")
    split = {"audio": str(stage1.folder)}
    assert stage1.prepare(split).texts == {"a": None}
    assert "1 x no text" in stage1.prepare(split, "--needs-text").error


def test_splits_that_share_speakers_or_utterances(stage1):
    for name in ("train", "test"):
        audio = write_audio(stage1.folder / f"{name}.wav")
        (stage1.folder / f"{name}.csv").write_text(f"audio,id,speaker\n{audio},{name},Ann\n{audio},both,Bob\n")
    splits = {name: {"table": str(stage1.folder / f"{name}.csv")} for name in ("train", "test")}
    assert stage1.prepare(splits).error == ""
    found = stage1.prepare(splits, "--apart-from", "train", split="test")
    assert "utterance both is in test and in train" in found.error and "`prefix:`" in found.error
    splits["test"]["prefix"] = "test-"
    found = stage1.prepare(splits, "--apart-from", "train", split="test")
    assert "warning: 2 speakers are in train and in test, such as Ann" in found.printed
    assert "audio files" not in found.printed


def test_splits_that_share_audio_under_other_ids(stage1):
    audio = write_audio(stage1.folder / "all/clips/a.wav")
    write_audio(stage1.folder / "all/b.wav")
    (stage1.folder / "all/test.csv").write_text("audio\nclips/a.wav\n")
    splits = {"train": {"audio": str(stage1.folder / "all")}, "test": {"table": str(stage1.folder / "all/test.csv")}}
    stage1.prepare(splits)
    found = stage1.prepare(splits, "--apart-from", "train", split="test")
    assert found.texts == {"a": None}
    assert f"warning: 1 audio files are in train and in test, such as {audio}" in found.printed


def test_too_many_rejected_utterances_stop_with_the_most_frequent_reasons(stage1):
    folder = stage1.folder / "audio"
    for number in range(96):
        write_audio(folder / f"{number}.wav", noise(0.1))
    for number in range(4):
        write_audio(folder / f"{number}.wav", noise(0.01))
    for number in range(4, 7):
        (folder / f"{number}.wav").write_bytes(b"")
    for number in range(7, 9):
        write_audio(folder / f"{number}.wav", 0 * noise(0.1))
    write_audio(folder / "9.wav", noise(0))
    found = stage1.prepare({"audio": str(folder)}, max_rejected=0.09)
    assert "10 of 96 utterances are rejected (4 x shorter than a frame; 3 x the audio file is empty; " in found.error
    assert "2 x all samples are zero), max_rejected of corpus.yaml allows 0.09" in found.error
    assert len(found.report) == 10 and not list(stage1.out.glob("*.jsonl.gz"))
    assert stage1.prepare({"audio": str(folder)}, max_rejected=0.11).error == ""


def test_nothing_at_all_is_an_error_whatever_may_be_rejected(stage1):
    (stage1.folder / "a.wav").write_bytes(b"")
    assert "1 of 1 utterances are rejected" in stage1.prepare({"audio": str(stage1.folder)}).error


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "it needs `splits:`"),
        ("[a]", "it needs `splits:`"),
        ("splits: {train: {audio: /x}}\nsplit: 1", "split"),
        ("splits: {train: {audio: /x}, train: {audio: /y}}", "line 1: train stands twice: keep one"),
        ("splits: {train: /x}", "split train needs a layout and its path"),
        ("splits: {train: }", "split train needs a layout and its path"),
        ("splits: {train: {path: /x}}", "split train needs exactly one of audio, kaldi,"),
        ("splits: {train: {audio: /x, kaldi: /x}}", "it has audio and kaldi"),
        ("splits: {train: {audio: /x, chanel: 1}}", "chanel"),
        ("splits: {train: {audio: /x, channel: left}}", "channel"),
        ("splits: {train: {audio: /x}, dev: {kaldi: }}", "split dev:"),
        ("splits: {train: {audio: $NO_SUCH_VARIABLE/x}}", "the environment has no variable NO_SUCH_VARIABLE"),
        ("splits: {dev: {audio: /x}}", "has no split 'train': it has dev"),
        ("splits: {1: {audio: /x}}", "has no split 'train': it has 1"),
        ("splits: {train: {audio: /x}}\nmax_seconds: 0", "max_seconds is 0"),
        ("splits: [", "line 1"),
        ("splits: {train: {audio: /x}}\ntext: {case: title}", "case"),
        ("splits: {train: {audio: g\xe4rten}}", "byte"),
    ],
)
def test_mistakes_in_the_config_are_one_line_that_names_it(stage1, content, message):
    stage1.config.parent.mkdir()
    stage1.config.write_bytes(content.encode("latin-1"))
    found = stage1.run()
    assert "conf/corpus.yaml" in found.error and message in found.error
    assert not stage1.out.exists()


def test_splits_may_share_what_they_say(stage1):
    for split in ("train", "dev"):
        write_audio(stage1.folder / split / f"{split}.wav")
    stage1.config.parent.mkdir()
    stage1.config.write_text(
        f"splits:\n  train: &all {{audio: {stage1.folder}/train, prefix: a-}}\n"
        f"  dev: {{<<: *all, audio: {stage1.folder}/dev}}\n"
    )
    assert [segment.id for split in ("train", "dev") for segment in stage1.run(split).supervisions] == [
        "a-train", "a-dev",
    ]  # fmt: skip


def test_a_missing_config(stage1):
    assert "conf/corpus.yaml is missing: it says where the speech is" in stage1.run().error


def test_what_is_read_is_not_decoded_again(stage1):
    for name in "ab":
        write_audio(stage1.folder / f"audio/{name}.wav")
    split = {"audio": str(stage1.folder / "audio")}
    before = stage1.prepare(split)
    probes = stage1.out / "probes.jsonl"
    lines = probes.read_text().strip().split("\n")
    assert len(lines) == 2
    probes.write_text(f"\n{lines[0]}\n{lines[1][:50]}")  # as a run leaves it that was killed
    again = stage1.prepare(split)
    assert again.recordings == before.recordings and probes.read_text().count('"problem"') == 2
    write_audio(stage1.folder / "audio/a.wav", noise(1))
    assert stage1.prepare(split).supervisions["a"].duration == 1.0
    assert probes.read_text().count('"problem"') == 3


def test_report_keeps_the_rows_of_other_splits(stage1):
    for split in ("train", "dev"):
        write_audio(stage1.folder / split / "good.wav")
        (stage1.folder / split / "bad.wav").write_bytes(b"")
    splits = {name: {"audio": str(stage1.folder / name)} for name in ("train", "dev")}
    for split in ("train", "dev", "train"):
        found = stage1.prepare(splits, split=split)
    assert sorted((row.split, row.id) for row in found.report) == [("dev", "bad"), ("train", "bad")]


def test_the_table_of_inputs_has_these_reasons():
    table = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert not [pair for pair in TIMES.values() if pair and pair[0] not in table]
