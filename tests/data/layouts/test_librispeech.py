"""The layout of LibriSpeech, against Lhotse's own reader of it; phones."""

import pytest
from corpora import noise, write_audio
from lhotse.recipes import prepare_librispeech
from lhotse.utils import fastcopy


@pytest.fixture
def data(stage1):
    """A split with two speakers of two utterances each, and their phones."""
    root, ctm = stage1.folder / "train", []
    for speaker in ("1", "2"):
        names = [f"{speaker}-7-000{number}" for number in range(2)]
        for number, name in enumerate(names):
            write_audio(root / speaker / "7" / f"{name}.flac", noise(1 + number))
            ctm += [f"{name} 1 0.000 0.300 sil\n", f"{name} 1 0.300 {0.7 + number:.3f} ʃ\n"]
        (root / speaker / "7" / f"{speaker}-7.trans.txt").write_text("".join(f"{name} SOME WORDS\n" for name in names))
    (stage1.folder / "phones.ctm").write_text("".join(ctm), encoding="utf-8")
    return root


def test_manifests_are_those_of_lhotse(stage1, data):
    expected = prepare_librispeech(data.parent, dataset_parts=["train"])["train"]
    found = stage1.prepare({"librispeech": str(data)}, "--needs-text")
    assert list(found.recordings) == sorted(expected["recordings"], key=lambda item: item.id)
    wanted = sorted(expected["supervisions"], key=lambda item: item.id)
    assert list(found.supervisions) == [fastcopy(item, alignment=None, language=None) for item in wanted]


def test_some_speakers(stage1, data):
    for choice in ({"speakers": ["2"]}, {"except_speakers": ["1"]}):
        found = stage1.prepare({"librispeech": str(data), **choice})
        assert list(found.texts) == ["2-7-0000", "2-7-0001"]
    assert "train/3 is missing" in stage1.prepare({"librispeech": str(data), "speakers": ["3"]}).error


def test_several_folders(stage1, data):
    found = stage1.prepare({"librispeech": [str(data / "1"), str(data / "2")]})
    assert len(found.supervisions) == 4


def test_audio_and_transcripts_that_do_not_fit(stage1, data):
    write_audio(data / "1/7/1-7-0009.flac")
    (data / "2/7/2-7-0000.flac").unlink()
    (data / "2/7/2-7.trans.txt").write_text("2-7-0000 A\n\n2-7-0001\n2-7-0001 B\n")
    found = stage1.prepare({"librispeech": str(data)}, "--needs-text")
    assert [(row.id, row.reason) for row in found.report] == [
        ("2-7-0001", "id stands twice: the first is taken"),
        ("1-7-0009", "no text, which labelled, dev and test sets need"),
        ("2-7-0000", "the audio file is missing"),
        ("2-7-0001", "no text, which labelled, dev and test sets need"),
    ]
    assert list(found.texts) == ["1-7-0000", "1-7-0001"]


def test_a_folder_without_transcripts(stage1, data):
    assert "is missing: run stage 0" in stage1.prepare({"librispeech": "nowhere"}).error
    write_audio(stage1.folder / "other/1.flac")
    assert "holds no *.trans.txt" in stage1.prepare({"librispeech": str(stage1.folder / "other")}).error


def test_phones_become_alignments(stage1, data):
    split = {"librispeech": str(data), "phones": str(stage1.folder / "phones.ctm")}
    for segment in stage1.prepare(split).supervisions:
        assert [item.symbol for item in segment.alignment["phone"]] == ["sil", "ʃ"]
        assert segment.alignment["phone"][-1].end == pytest.approx(segment.end)


def test_phones_that_do_not_fit_are_refused(stage1, data):
    ctm = stage1.folder / "phones.ctm"
    split, lines = {"librispeech": str(data), "phones": str(ctm)}, ctm.read_text(encoding="utf-8")
    ctm.write_text(lines.replace("1-7-0000", "8-8-8888"), encoding="utf-8")
    assert "lacks utterance 1-7-0000" in stage1.prepare(split).error
    ctm.write_text(lines + "2-7-0001 1 5.000 0.200 ʃ\n", encoding="utf-8")
    assert "outside of the recordings" in stage1.prepare(split).error
