"""Long recordings in windows: every second once, and no window too long."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from corpora import noise, write_audio
from scipy.signal import lfilter

from mt4ssl.data.windows import full_windows, pause_windows, silero

LONGEST = 12.0


def check(windows, start, end):
    """Fail unless the windows fill the stretch, one after the other, and are short enough."""
    assert (windows[0][0], windows[-1][1]) == (start, end)
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert all(0.49 <= stop - begin <= LONGEST + 0.01 for begin, stop in windows)


@pytest.mark.parametrize("end", [0.9, 12.0, 12.001, 24.0, 100.123, 2400.0])
def test_full_windows_fill_the_stretch(end):
    for start in (0.0, 0.237):
        windows = full_windows(start, end, LONGEST)
        check(windows, start, end)
        assert len(windows) <= (end - start) / LONGEST + 1
        lengths = [stop - begin for begin, stop in windows]
        assert lengths[:-2] == pytest.approx([LONGEST] * len(lengths[:-2]))
        assert lengths[-1] == pytest.approx(lengths[-2:][0], abs=0.011)


@pytest.mark.parametrize("seed", range(5))
def test_windows_end_in_pauses_where_there_are_some(seed):
    lengths = np.random.default_rng(seed).uniform([1, 0.1], [8, 2], (40, 2))
    ends = np.cumsum(lengths.ravel())
    speech = [(float(stop - length), float(stop)) for stop, length in zip(ends[::2], lengths[:, 0])]
    windows = pause_windows(0.5, float(ends[-1]), LONGEST, speech)
    check(windows, 0.5, float(ends[-1]))
    cuts = [stop for _, stop in windows[:-1]]
    inside = [cut for cut in cuts if any(begin + 0.01 < cut < stop - 0.01 for begin, stop in speech)]
    assert len(cuts) >= 10 and not inside


def test_speech_without_a_pause_is_cut_all_the_same():
    check(pause_windows(0, 100, LONGEST, [(0, 100)]), 0, 100)
    check(pause_windows(0, 100, LONGEST, []), 0, 100)
    check(pause_windows(0, 24.001, LONGEST, []), 0, 24.001)


def test_every_sample_of_a_recording_is_in_one_window(stage1):
    write_audio(stage1.folder / "audio/long.wav", noise(47.3))
    write_audio(stage1.folder / "audio/long-0002.wav", noise(11))
    found = stage1.prepare({"audio": str(stage1.folder / "audio")})
    names = [segment.id for segment in found.supervisions]
    assert names == ["long-0000", "long-0001", "long-0002-2", "long-0003", "long-0002"]
    loaded = np.concatenate([found.load(name)[0] for name in names[:4]])
    np.testing.assert_array_equal(loaded, found.recordings["long"].load_audio()[0])
    assert sum(segment.duration for segment in found.supervisions) == pytest.approx(58.3, abs=1e-6)
    assert ["of", "them", "windows", "of", "long", "recordings", "4"] in map(str.split, found.printed.splitlines())


def test_segments_without_text_are_cut_and_those_with_text_are_not(stage1):
    audio, data = write_audio(stage1.folder / "long.wav", noise(60)), stage1.folder / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"long {audio}\n")
    (data / "segments").write_text("said long 1 31\nunsaid long 31.5 56.5\n")
    (data / "text").write_text("said SOME WORDS\n")
    found = stage1.prepare({"kaldi": str(data)}, max_seconds=20.0)
    assert [(item.id, item.start, item.end, item.text) for item in found.supervisions] == [
        ("said", 1.0, 31.0, "SOME WORDS"),
        ("unsaid-0000", 31.5, 44.0, None),
        ("unsaid-0001", 44.0, 56.5, None),
    ]


def babble(seconds):
    """Vowels, four a second: pulses of a voice through the resonances of a mouth (S,)."""
    vowels = []
    for number in range(round(4 * seconds)):
        time = np.arange(4000) / 16000
        vowel = np.diff(np.floor(120 * time + 2 * np.sin(2 * np.pi * time)), prepend=0)
        for formant in ((700, 1200, 2600), (300, 2300, 3000), (500, 900, 2400))[number % 3]:
            radius = np.exp(-np.pi * 80 / 16000)
            vowel = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / 16000), radius**2], vowel)
        vowels.append(vowel / np.abs(vowel).max() * np.hanning(4000) ** 0.5 / 2)
    return np.concatenate(vowels)


def test_voice_activity_detection_finds_the_pauses(stage1):
    pytest.importorskip("silero_vad")
    silence = np.zeros(16000)
    samples = np.concatenate([babble(7), silence, babble(10), silence, babble(5)])
    write_audio(stage1.folder / "audio/talk.wav", samples + noise(24)[:, 0] * 0.01)
    found = stage1.prepare({"audio": str(stage1.folder / "audio"), "vad": True})
    windows = [(segment.start, segment.end) for segment in found.supervisions]
    check(windows, 0.0, 24.0)
    assert [stop for _, stop in windows[:-1]] == pytest.approx([7.5, 18.5], abs=0.4)


def test_without_the_package_one_line_says_so(stage1, monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    silero.cache_clear()
    write_audio(stage1.folder / "audio/long.wav", noise(13))
    found = stage1.prepare({"audio": str(stage1.folder / "audio"), "vad": True})
    assert found.error == "`vad: true` needs the package silero-vad: pip install silero-vad"
