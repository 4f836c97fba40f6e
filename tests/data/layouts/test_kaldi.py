"""Kaldi's data directories, against Lhotse's own reader of them."""

import numpy as np
import pytest
from corpora import noise, write_audio
from lhotse.kaldi import load_kaldi_data_dir


@pytest.fixture
def data(stage1):
    """A data directory with two recordings, three segments and two speakers."""
    folder = stage1.folder / "data"
    audio = [write_audio(stage1.folder / f"{name}.wav", noise(2)) for name in ("r1", "r2")]
    folder.mkdir()
    (folder / "wav.scp").write_text(f"r1 {audio[0]}\nr2\t{audio[1]}\n")
    (folder / "segments").write_text("a r1 0.25 1.0\nb r1 1.0 1.75\nc r2 0.0 1.5\n")
    (folder / "text").write_text("a one  two\nb\tthree four\nc FIVE\n")
    (folder / "utt2spk").write_text("a A\nb B\nc A\n")
    (folder / "spk2gender").write_text("A f\nB m\n")
    return folder


def test_as_lhotse_reads_it(stage1, data):
    (data / "text").write_text("a one two\nb three four\nc FIVE\n")
    (data / "wav.scp").write_text((data / "wav.scp").read_text().replace("\t", " "))
    found = stage1.prepare({"kaldi": str(data)}, "--needs-text")
    recordings, supervisions, _ = load_kaldi_data_dir(data, sampling_rate=16000)
    assert found.report == []
    assert [(item.id, item.duration) for item in found.recordings] == [(item.id, item.duration) for item in recordings]
    for ours, theirs in zip(found.supervisions, supervisions, strict=True):
        for key in ("id", "recording_id", "start", "duration", "channel", "text", "speaker", "gender"):
            assert getattr(ours, key) == getattr(theirs, key)


def test_tabs_and_many_spaces(stage1, data):
    found = stage1.prepare({"kaldi": str(data)})
    assert found.texts == {"a": "one two", "b": "three four", "c": "FIVE"}


def test_without_segments_recordings_are_utterances(stage1, data):
    for name in ("segments", "text", "utt2spk"):
        (data / name).unlink()
    found = stage1.prepare({"kaldi": str(data)})
    assert [(item.id, item.duration, item.text) for item in found.supervisions] == [("r1", 2, None), ("r2", 2, None)]


def test_commands_run_only_where_they_may(stage1, data):
    wav, flag = stage1.folder / "r1.wav", stage1.folder / "run"
    (data / "wav.scp").write_text(f"r1 touch '{flag}'; cat '{wav}' |\nr2 cat nothing |\n")
    refused = stage1.prepare({"kaldi": str(data)})
    assert "the audio of a is the command 'touch" in refused.error and "add `commands: true`" in refused.error
    assert not flag.exists()
    (data / "segments").write_text((data / "segments").read_text() + "d r3 0 1\n")
    with (data / "wav.scp").open("a") as file:
        file.write("r3 echo no audio |\n")
    found = stage1.prepare({"kaldi": str(data), "commands": True})
    assert flag.exists()
    np.testing.assert_allclose(found.load("a")[0], noise(2)[4000:16000, 0], atol=1e-4)
    assert found.reasons == {
        "c": ("the command fails", "rejected"),
        "d": ("the output of the command is no audio", "rejected"),
    }
    assert "No such file" in found.report[0].detail


def test_many_utterances_of_a_command_are_said_to_be_slow(stage1, data):
    audio = write_audio(stage1.folder / "long.wav", noise(125))
    (data / "wav.scp").write_text(f"r1 cat '{audio}' |\n")
    for name in ("segments", "text", "utt2spk"):
        (data / name).unlink()
    found = stage1.prepare({"kaldi": str(data), "commands": True})
    done = "taken as it is; FLAC files on a disk are faster"
    assert found.reasons == {"r1": ("all of it is read for each utterance", done)}
    assert found.report[0].detail == "11 utterances"


def test_relative_paths(stage1, data):
    (data / "wav.scp").write_text("r1 r1.wav\nr2 /moved/to/r2.wav\n")
    assert len(stage1.prepare({"kaldi": str(data), "relative_to": str(stage1.folder)}).supervisions) == 3
    found = stage1.prepare({"kaldi": str(data)})
    assert len(found.report) == 1 and "/moved/to/r2.wav" in found.printed
    (data / "wav.scp").write_text("r1 r3.wav\nr2 /moved/to/r2.wav\n")
    found = stage1.prepare({"kaldi": str(data)})
    assert found.reasons["a"] == ("the audio file is missing", "rejected")
    assert "3 of 3 utterances are rejected (3 x the audio file is missing)" in found.error


def test_what_does_not_fit_together(stage1, data):
    (data / "segments").write_text("a r1 0.25 1.0\nb r1 1.0\nc r3 0 1\nd r2 0 -1\ne r2 x y\n")
    (data / "utt2dur").write_text("a 0.80\nd 1.5\n")
    (data / "utt2spk").write_text("a A\na B\n")
    found = stage1.prepare({"kaldi": str(data)})
    assert found.reasons == {
        "a": ("id stands twice", "the first is taken"),  # of utt2spk
        "b": ("no recording with a start and an end", "rejected"),
        "c": ("recording is not in wav.scp", "rejected"),
        "d": ("utt2dur says another duration", "rejected"),
        "e": ("no recording with a start and an end", "rejected"),
    }
    assert len(found.report) == 5  # each once
    assert [(item.id, item.speaker, item.gender) for item in found.supervisions] == [("a", "A", "f")]


def test_no_directory(stage1):
    assert "wav.scp is missing: a Kaldi directory has one" in stage1.prepare({"kaldi": str(stage1.folder)}).error
