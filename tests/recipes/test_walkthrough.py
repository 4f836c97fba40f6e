"""docs/corpus.md, word by word: from each form of a corpus to features, and from some to a table of error rates."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from mt4ssl.data.corpus import read_corpus
from mt4ssl.data.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/corpus.md").read_text(encoding="utf-8")
SPLITS = ("train", "dev", "test")
SHORT = "--loop.updates 4 --loop.batch_seconds 20 --loop.save_every 2 --loop.validate_every 4 --loop.workers 0"
ENGLISH = ["The cat sat, on the mat.", "A dog looked at me!", "Don't look at the cat", "the mat's dog"]
RUSSIAN = ["Кошка сидела на коврике.", "Собака смотрела на меня!", "Не смотри на кошку", "Ёжик и собака"]
CHINESE = ["你好，世界。", "我们学习语音", "世界你好！", "语音很好"]


def speak(path: Path, text: str, rate: int = 16000, channels: int = 1) -> None:
    """Write a tone for each character, of 80 ms, or 250 where it is a syllable; each has its own pitch."""
    time = np.arange(int((0.25 if max(text) > "\u3000" else 0.08) * rate)) / rate
    tones = [np.sin(2 * np.pi * (200 + 37 * (ord(char) % 89)) * time) * (char != " ") for char in text]
    signal = 0.3 * np.concatenate(tones) + 0.01 * np.random.default_rng(0).normal(size=len(text) * len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([signal] * channels, axis=1), rate)


def table(data: Path, texts: list[str], suffix: str = "wav", rate: int = 16000) -> None:
    """A table of all splits, with audio beside it."""
    lines = ["audio\ttext\tspeaker\tsplit"]
    for split in SPLITS:
        for number, text in enumerate(texts * 3):
            speak(data / f"audio/{split}{number}.{suffix}", text, rate)
            lines.append(f"{data}/audio/{split}{number}.{suffix}\t{text}\t{split}{number % 2}\t{split}")
    (data / "all.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def podcasts(data: Path) -> None:
    """Recordings without text, some long, beside a table."""
    table(data, ENGLISH)
    speak(data / "podcasts/show 1/long.flac", " ".join(ENGLISH * 5), 44100, 2)
    speak(data / "podcasts/short.ogg", " ".join(ENGLISH), 8000)


def common_voice(data: Path) -> None:
    """A table for each split, in the columns of Common Voice, and clips in MP3."""
    for split in SPLITS:
        lines = ["client_id\tpath\tsentence\tup_votes\tlocale"]
        for number, text in enumerate(ENGLISH * 3):
            speak(data / f"cv/clips/{split}_{number}.mp3", text, 48000)
            lines.append(f'{split}{number % 2}\t{split}_{number}.mp3\t"{text}\t2\ten')
        (data / f"cv/{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def kaldi(data: Path) -> None:
    """A recording for each split with segments; that of test comes out of a command."""
    for split in SPLITS:
        folder = data / "kaldi" / split
        texts = ENGLISH * 3
        speak(folder / "all.wav", "".join(text + " " * 5 for text in texts))
        path = f"cat '{folder}/all.wav' |" if split == "test" else f"{folder}/all.wav"
        (folder / "wav.scp").write_text(f"{split}rec {path}\n")
        starts = np.cumsum([0] + [0.08 * (len(text) + 5) for text in texts])
        names = [f"{split}-{number:02d}" for number in range(len(texts))]
        segments = [f"{name} {split}rec {start:.2f} {end:.2f}\n" for name, start, end in zip(names, starts, starts[1:])]
        (folder / "segments").write_text("".join(segments))
        (folder / "text").write_text("".join(f"{name} {text}\n" for name, text in zip(names, texts)))
        (folder / "utt2spk").write_text("".join(f"{name} {split}\n" for name in names))


def lhotse(data: Path) -> None:
    """Manifests as Lhotse writes them."""
    for split in SPLITS:
        recordings, segments = [], []
        for number, text in enumerate(ENGLISH * 3):
            path = data / f"flac/{split}{number}.flac"
            speak(path, text)
            recordings.append(Recording.from_file(path))
            name, seconds = recordings[-1].id, recordings[-1].duration
            segments.append(SupervisionSegment(name, name, 0.0, seconds, text=text, speaker=f"{split}{number % 2}"))
        (data / "manifests").mkdir(exist_ok=True)
        RecordingSet.from_recordings(recordings).to_file(data / f"manifests/corpus_recordings_{split}.jsonl.gz")
        SupervisionSet.from_segments(segments).to_file(data / f"manifests/corpus_supervisions_{split}.jsonl.gz")


def chinese(data: Path) -> None:
    """A table of text without spaces."""
    table(data / "zh", CHINESE)


def cyrillic(data: Path) -> None:
    """A table, and a book for the language models in another case."""
    table(data / "ru", RUSSIAN, "flac", 22050)
    (data / "ru/books").mkdir()
    (data / "ru/books/one.txt").write_text(
        "\ufeff" + "\r\n".join(text.upper() for text in RUSSIAN * 5), encoding="utf-8"
    )


def blocks(place: str) -> list[str]:
    """The blocks of code after a place of the page, up to the next heading or marked block."""
    rest = PAGE.split(place, 1)[1]
    return re.findall(r"```\w*\n(.*?)```", re.split(r"\n## |<!-- test", rest)[0], flags=re.DOTALL)


def test_the_corpus_of_the_readme_is_one(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```yaml\n(splits:.*?)```", text, flags=re.DOTALL)
    (tmp_path / "corpus.yaml").write_text(config)
    corpus = read_corpus(tmp_path / "corpus.yaml")
    layouts = [type(corpus.layout(split)) for split in corpus.splits]
    assert layouts == [LAYOUTS[key] for key in ("audio", "kaldi", "lhotse", "table", "librispeech")]


@pytest.mark.skipif(not (ROOT / ".k2python").exists(), reason="no k2: run tools/install_k2.sh")
@pytest.mark.parametrize(
    ("make", "place", "last", "rate"),  # behind stage 2 all forms are the same, and behind stage 7 all scripts
    [
        (podcasts, "## From a folder of recordings to a table", 11, "WER"),
        (common_voice, "<!-- test: common voice -->", 2, None),
        (kaldi, "<!-- test: kaldi -->", 2, None),
        (lhotse, "<!-- test: lhotse -->", 2, None),
        (chinese, "<!-- test: chinese -->", 11, "CER"),
        (cyrillic, "<!-- test: cyrillic -->", 7, None),
    ],
)
def test_from_audio_to_a_table(
    tmp_path: Path, make: Callable[[Path], None], place: str, last: int, rate: str | None
) -> None:
    data, recipe = tmp_path / "data", tmp_path / "my corpora/mycorpus"
    make(data)
    command, *_ = blocks("## From a folder of recordings to a table")
    words = [word.replace("~/exp/mycorpus", str(recipe)) for word in command.split()]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (config,) = [block for block in blocks(place) if block.startswith("splits:")]
    (recipe / "conf/corpus.yaml").write_text(config.replace("/data/", f"{data}/"), encoding="utf-8")
    script = (recipe / "run.sh").read_text()
    for line in blocks(place):
        if line.startswith("train_sets="):
            script = re.sub(r"^train_sets=.*", line.strip(), script, flags=re.MULTILINE)
            config += line
    (recipe / "run.sh").write_text(script)
    assert len(config.splitlines()) <= 20

    smaller = "clusters: 10\nmax_frames: 2000\niterations: 3\nrestarts: 1\n"
    (recipe / "conf/kmeans.yaml").write_text(smaller)
    result = subprocess.run(
        [recipe / "run.sh", "--stage", "0", "--stop-stage", str(last), "--scratch", "false", "--avg", "1",
         "--pretrain-args", SHORT, "--finetune-args", SHORT],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:]
    assert "Traceback" not in result.stdout
    for split in SPLITS:
        cuts = CutSet.from_file(recipe / f"data/fbank/mycorpus_cuts_{split}.jsonl.gz")
        assert len(cuts) >= 12 and all(cut.supervisions[0].text for cut in cuts)
    if not rate:
        return
    results = (recipe / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert f"## {rate}" in results
    assert re.search(r"\| mt4ssl \| test \| +[\d.]+ \([\d. -]+\)", results), results
    if place.startswith("## From"):
        assert re.search(r"windows of long recordings +\d", result.stdout)
        assert (recipe / "data/fbank/mycorpus_cuts_podcasts+train.jsonl.gz").exists()
