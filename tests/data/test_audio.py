"""Audio files of all kinds, whole and broken: read right, or rejected by name. tests/README.md lists them all."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from corpora import Stage1, noise, tones, write_audio

# name of the file: rate, channels, what soundfile is told
READABLE = {
    "8bit.wav": (16000, 1, dict(subtype="PCM_U8")),
    "24bit.wav": (16000, 1, dict(subtype="PCM_24")),
    "32bit.wav": (16000, 1, dict(subtype="PCM_32")),
    "float.wav": (16000, 1, dict(subtype="FLOAT")),
    "double.wav": (16000, 1, dict(subtype="DOUBLE")),
    "24bit.flac": (16000, 1, dict(subtype="PCM_24")),
    "mulaw.au": (8000, 1, dict(subtype="ULAW")),
    "nist.sph": (16000, 1, dict(format="NIST")),
    "8khz.wav": (8000, 1, {}),
    "11khz.wav": (11025, 1, {}),
    "44khz_stereo.flac": (44100, 2, {}),
    "48khz_six_channels.wav": (48000, 6, {}),
    "44khz.mp3": (44100, 2, {}),
    "vorbis.ogg": (16000, 1, {}),
    "opus.opus": (48000, 1, dict(format="OGG", subtype="OPUS")),
    "flac_called.wav": (16000, 1, dict(format="FLAC")),
    "wav_called.mp3": (16000, 1, dict(format="WAV")),
    "header_of_a_pipe.wav": (16000, 1, {}),
    "UPPER CASE & spaces.WAV": (16000, 1, dict(format="WAV")),
}

BREAKS_OFF, CORRUPT, UNKNOWN = "the audio breaks off", "the audio is corrupt", "libsndfile cannot read the audio"
NOT_FINITE = "the audio has samples that are no numbers (NaN or infinite)"
REJECTED = {
    "empty.wav": "the audio file is empty",
    "without_samples.wav": "the audio has no samples",
    "text.wav": UNKNOWN,
    "overwritten_header.flac": UNKNOWN,
    "link_to_nothing.wav": "the audio file is missing",
    "truncated.wav": BREAKS_OFF,
    "truncated.flac": CORRUPT,
    "truncated.ogg": BREAKS_OFF,
    "truncated.opus": BREAKS_OFF,
    "truncated.mp3": BREAKS_OFF,
    "overwritten.flac": CORRUPT,
    "overwritten.ogg": CORRUPT,
    "overwritten.opus": CORRUPT,
    "overwritten.mp3": CORRUPT,
    "shorter_than_a_frame.wav": "shorter than a frame",
    "zeros.wav": "all samples are zero",
    "nan.wav": NOT_FINITE,
    "infinite.wav": NOT_FINITE,
}


def write_readable(folder):
    for name, (rate, channels, options) in READABLE.items():
        write_audio(folder / name, tones(rate, *[440] * channels), rate, **options)
    path = folder / "header_of_a_pipe.wav"
    path.write_bytes(path.read_bytes()[:40] + b"\xff\xff\xff\xff" + path.read_bytes()[44:])


def write_unreadable(folder):
    options = {"opus": dict(format="OGG", subtype="OPUS")}
    for suffix in ("wav", "flac", "ogg", "opus", "mp3"):
        path = folder / f"truncated.{suffix}"
        content = bytearray(Path(write_audio(path, noise(6), **options.get(suffix, {}))).read_bytes())
        path.write_bytes(content[: len(content) // 2])
        if suffix != "wav":
            content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
            (folder / f"overwritten.{suffix}").write_bytes(content)
    (folder / "overwritten_header.flac").write_bytes(bytes(100) + content[100:])
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no audio\n" * 1000)
    (folder / "link_to_nothing.wav").symlink_to(folder / "nothing")
    write_audio(folder / "without_samples.wav", noise(0))
    write_audio(folder / "shorter_than_a_frame.wav", noise(0.024))
    write_audio(folder / "zeros.wav", 0 * noise())
    for name, value in (("nan", np.nan), ("infinite", np.inf)):
        samples = noise()
        samples[1000] = value
        write_audio(folder / f"{name}.wav", samples, subtype="FLOAT")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """What stage 1 gives of a folder with all of these files, where there is no ffmpeg."""
    stage1 = Stage1(tmp_path_factory.mktemp("audio"))
    folder = stage1.folder / "audio"
    write_readable(folder)
    write_unreadable(folder)
    write_audio(folder / "clipped.wav", 10 * tones(16000, 440))
    write_audio(folder / "40_minutes.wav", np.tile(tones(8000, 440), (2400, 1)), 8000, subtype="PCM_U8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        return stage1.prepare({"audio": str(folder)})


def reason(outcome, file):
    return [(row.reason, row.done) for row in outcome.report if Path(row.file).name == file]


@pytest.mark.parametrize("file", READABLE)
def test_readable_audio_is_read_as_one_channel_of_16_khz(audio, file):
    assert reason(audio, file) == []
    recording = next(item for item in audio.recordings if Path(item.sources[0].source).name == file)
    samples, expected = recording.load_audio(), tones(16000, 440).T
    assert samples.shape == expected.shape
    lossy = file in ("44khz.mp3", "vorbis.ogg", "opus.opus")
    difference = (samples - expected)[:, 2000:-2000]
    assert np.abs(difference).max() < (0.05 if lossy else 0.01)


@pytest.mark.parametrize("file, expected", REJECTED.items())
def test_unreadable_audio_is_rejected_by_name(audio, file, expected):
    ((found, done),) = reason(audio, file)
    assert found.startswith(expected) and done == "rejected"
    assert found in audio.printed


def test_clipped_audio_is_taken_and_said(audio):
    assert reason(audio, "clipped.wav") == [("clipped", "taken as it is")]
    assert "clipped" in audio.supervisions.ids


def test_forty_minutes_become_windows(audio):
    windows = [segment for segment in audio.supervisions if segment.recording_id == "40_minutes"]
    assert len(windows) == 200 and sum(segment.duration for segment in windows) == pytest.approx(2400)
    assert audio.load(windows[150].id).shape == (1, 12 * 16000)


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """Writes M4A files: with ffmpeg; where it is not installed, what a script of that name takes for M4A."""
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-loglevel", "error", "-i"]
        return lambda source, target: subprocess.run([*command, source, target], check=True)
    script = tmp_path / "bin/ffmpeg"
    script.parent.mkdir()
    script.write_text(
        '#!/bin/sh\nwhile [ "$1" != -i ]; do shift; done\nfile=${2#file:}\n'
        'head -c 12 "$file" | grep -q ftypM4A || { echo "Invalid data found" >&2; exit 1; }\ntail -c +13 "$file"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return lambda source, target: target.write_bytes(b"\0\0\0 ftypM4A " + source.read_bytes())


def test_other_formats_are_read_with_ffmpeg(stage1, ffmpeg):
    folder = stage1.folder / "audio"
    wav = folder / "x.wav"
    write_audio(wav, tones(44100, 440), 44100)
    ffmpeg(wav, folder / "it's: $(touch x).m4a")
    wav.write_text("no audio")
    found = stage1.prepare({"audio": str(folder)})
    (segment,) = found.supervisions
    np.testing.assert_allclose(found.load(segment.id)[:, 2000:10000], tones(16000, 440).T[:, 2000:10000], atol=0.03)
    assert reason(found, "x.wav") == [("neither libsndfile nor ffmpeg can read the audio to its end", "rejected")]


def test_without_ffmpeg_one_line_names_the_package(stage1, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (stage1.folder / "x.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(1000))
    assert "ffmpeg may: apt install ffmpeg" in stage1.prepare({"audio": str(stage1.folder)}).error


def test_the_table_of_inputs_has_these_reasons():
    table = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert not [expected for expected in REJECTED.values() if expected not in table]
