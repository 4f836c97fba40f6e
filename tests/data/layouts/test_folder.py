"""A folder of recordings without text."""

import os

import numpy as np
from corpora import tones, write_audio


def test_folders_links_and_names(stage1, tmp_path):
    root = stage1.folder / "audio"
    for name in ("a/b.wav", "a/b.flac", "a-b.ogg", "C.WAV", ".hidden.wav", ".Trash-1/deleted.wav"):
        write_audio(root / name, format="WAV" if name == "C.WAV" else None)
    write_audio(tmp_path / "elsewhere/d.wav")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "a.wav").mkdir()
    (root / "loop").symlink_to(root)
    (root / "notes.txt").write_text("no audio")
    found = stage1.prepare({"audio": str(root)})
    assert {segment.id for segment in found.supervisions} == {"C", "a-b", "a-b_", "a-b__", "link-d"}
    assert {segment.text for segment in found.supervisions} == {None}
    assert [(row.file, row.reason, row.done) for row in found.report] == [
        (str(root / "loop"), "the folder is read under another name too", "ignored"),
        (str(root / "notes.txt"), "not named like audio", "ignored"),
    ]


def test_names_that_are_not_utf_8(stage1):
    write_audio(stage1.folder / "audio/good.wav")
    (stage1.folder / "audio" / os.fsdecode(b"caf\xe9.wav")).hardlink_to(stage1.folder / "audio/good.wav")
    found = stage1.prepare({"audio": str(stage1.folder / "audio")})
    assert found.reasons == {"caf_": ("the name of the audio file is not UTF-8: rename it", "rejected")}


def test_audio_is_resampled_and_mixed_down_when_it_is_read(stage1):
    write_audio(stage1.folder / "audio/stereo.wav", tones(44100, 440, 1000), 44100)
    found = stage1.prepare({"audio": str(stage1.folder / "audio")})
    expected = tones(16000, 440, 1000).mean(axis=1)
    np.testing.assert_allclose(found.load("stereo")[0, 800:-800], expected[800:-800], atol=2e-3)
    rows = [line.split() for line in found.printed.splitlines()]
    assert ["of", "them", "resampled", "1"] in rows and ["of", "them", "mixed", "down", "1"] in rows


def test_one_channel(stage1):
    write_audio(stage1.folder / "audio/stereo.wav", tones(16000, 440, 1000))
    write_audio(stage1.folder / "audio/mono.wav")
    for channel, frequency in ((0, 440), (1, 1000)):
        found = stage1.prepare({"audio": str(stage1.folder / "audio"), "channel": channel})
        np.testing.assert_allclose(found.load("stereo"), tones(16000, frequency).T, atol=1e-4)
    assert found.reasons == {"mono": ("the audio lacks the channel that is wanted", "rejected")}


def test_errors(stage1):
    assert "nowhere is missing: the split's folder of audio" in stage1.prepare({"audio": "nowhere"}).error
    assert "holds no audio" in stage1.prepare({"audio": str(stage1.folder)}).error


def test_prefix(stage1):
    write_audio(stage1.folder / "audio/x.wav")
    found = stage1.prepare({"audio": str(stage1.folder / "audio"), "prefix": "pod-"})
    assert [(item.id, item.recording_id) for item in found.supervisions] == [("pod-x", "pod-x")]
