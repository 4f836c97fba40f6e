"""Audio files, decoded to the last sample before anything is computed from them; and how Lhotse reads them."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import soundfile
from lhotse import AudioSource, Recording
from lhotse.augmentation import AudioTransform
from lhotse.serialization import open_best

from mt4ssl.data.layouts.base import URL
from mt4ssl.data.parallel import cached_map
from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.errors import UserError

BLOCK = 1 << 20  # samples that are decoded at a time
CLIPPED, FULL_SCALE = 0.01, 0.999  # part of the samples, at so much of the greatest value
UNKNOWN_FORMAT = (1, 4)  # errors of libsndfile: another format, or another encoding, than those that it knows
STREAMED = 0x7FFFF000  # sizes from here on are what writers to pipes put into WAV headers
WRONG_SIZE = re.compile(r"^\s*data\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)  # in the log of libsndfile

# Lhotse warns of commands and URLs that are read for each of many cuts: report.tsv says it once.
warnings.filterwarnings("ignore", message="You requested a subset of a recording that is read from (disk via a|URL)")


@dataclass
class Probe:
    """What decoding a file gave."""

    rate: int = 0
    """Samples a second."""
    channels: int = 0
    samples: int = 0
    """Samples of each channel."""
    converted: bool = False
    """Whether only ffmpeg can read it."""
    clipped: bool = False
    problem: str = ""
    """Why the file cannot be used."""
    detail: str = ""


def ffmpeg_command(path: str) -> str:
    """Return the command that turns any file that ffmpeg knows into WAV on its output."""
    return f"ffmpeg -nostdin -loglevel error -xerror -i {shlex.quote(f'file:{path}')} -f wav -"


def run_command(command: str, may_complain: bool = True) -> bytes:
    """Return what a command writes; ValueError where it fails, or complains and may not."""
    result = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602  (the user allows it)
    if result.returncode or (result.stderr and not may_complain):
        lines = result.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {result.returncode}"]
        raise ValueError(lines[-1])
    return result.stdout


def source_kind(audio: str) -> Literal["file", "url", "command"]:
    """Return what the audio of an utterance is, in the words of Lhotse's AudioSource."""
    if URL.match(audio):
        return "url"
    return "command" if audio.endswith("|") else "file"


def read_url(url: str) -> bytes:
    """Return what is at a URL; ValueError where it cannot be read. Lhotse reads it the same way, by smart_open."""
    try:
        with open_best(url, "rb") as file:
            return file.read()
    except Exception as error:  # each kind of store has errors of its own
        raise ValueError(str(error.__context__ or error).partition("\n")[0]) from error


def probe(audio: str) -> Probe:
    """Decode a file, what is at a URL, or the output of a command that ends in `|`, to its last sample."""
    kind = source_kind(audio)
    try:
        audio.encode()
        if kind != "file":
            return decode(io.BytesIO(read_url(audio) if kind == "url" else run_command(audio[:-1])))
        if not Path(audio).is_file():
            return Probe(problem="the audio file is missing", detail=audio)
        if Path(audio).stat().st_size == 0:
            return Probe(problem="the audio file is empty")
        with open(audio, "rb") as file:
            return decode(file)
    except soundfile.LibsndfileError as error:
        if kind == "command":
            return Probe(problem="the output of the command is no audio", detail=error.error_string)
        if kind == "url":
            return Probe(problem="libsndfile cannot read what is at the URL", detail=error.error_string)
        if error.code in UNKNOWN_FORMAT:
            return probe_with_ffmpeg(audio, error.error_string)
        return Probe(problem="the audio is corrupt", detail=error.error_string)
    except UnicodeEncodeError:
        return Probe(problem="the name of the audio file is not UTF-8: rename it")
    except ValueError as error:
        return Probe(problem="the URL cannot be read" if kind == "url" else "the command fails", detail=str(error))
    except OSError as error:
        return Probe(problem="the audio file cannot be opened", detail=error.strerror or str(error))


def probe_with_ffmpeg(path: str, reason: str) -> Probe:
    """Decode with ffmpeg what libsndfile does not know."""
    if not shutil.which("ffmpeg"):
        return Probe(problem="libsndfile cannot read the audio; ffmpeg may: apt install ffmpeg", detail=reason)
    try:
        result = decode(io.BytesIO(run_command(ffmpeg_command(path), may_complain=False)))
    except (ValueError, soundfile.LibsndfileError) as error:
        return Probe(problem="neither libsndfile nor ffmpeg can read the audio to its end", detail=str(error))
    result.converted = True
    return result


def decode(file: BinaryIO) -> Probe:
    """Decode an open file in blocks, and look at its samples."""
    with soundfile.SoundFile(file) as sound:
        result = Probe(sound.samplerate, sound.channels)
        promised, length = sound.frames, BLOCK // sound.channels
        block, peak, clipped, finite = None, 0.0, 0, True
        while block is None or len(block) == length:  # a shorter one is the end: behind a gap soundfile may find more
            block = sound.read(length, dtype="float32", always_2d=True)
            result.samples += len(block)
            magnitude = np.abs(block)
            peak = max(peak, float(magnitude.max(initial=0)))  # NaN loses every comparison
            clipped += int((magnitude >= FULL_SCALE).sum())
            finite = finite and bool(np.isfinite(block).all())
        sound_format, log = sound.format, sound.extra_info
    size = WRONG_SIZE.search(log)
    result.clipped = clipped > CLIPPED * max(result.samples, 1) * result.channels
    if size and int(size[2]) < int(size[1]) < STREAMED:
        result.problem, result.detail = "the audio breaks off", f"after {size[2]} of {size[1]} bytes"
    elif sound_format == "OGG" and "reports a hole" in log:
        result.problem = "the audio is corrupt"
    elif sound_format == "OGG" and "lacks an end-of-stream" in log:
        result.problem = "the audio breaks off"
    elif result.samples == 0:
        result.problem = "the audio has no samples"
    elif result.samples < promised < STREAMED:
        result.problem, result.detail = "the audio breaks off", f"after {result.samples} of {promised} samples"
    elif not finite:
        result.problem = "the audio has samples that are no numbers (NaN or infinite)"
    elif peak == 0:
        result.problem = "all samples are zero"
    return result


def cache_key(audio: str) -> str:
    """Return what changes when the file does."""
    try:
        found = Path(audio).stat()
    except (OSError, ValueError):  # a command, a URL, or a file that is not there
        return audio
    return f"{audio}\t{found.st_size}\t{found.st_mtime_ns}"


def probe_all(audio: Iterable[str], cache: Path, jobs: int, name: str) -> dict[str, Probe]:
    """Probe files in parallel; what the cache has of them is not decoded again.

    Raises UserError for URLs without the package that reads them.
    """
    keys = {item: cache_key(item) for item in audio}
    url = next(filter(URL.match, keys), None)
    if url and not find_spec("smart_open"):
        raise UserError(f"{url} cannot be read: pip install 'smart_open[s3]' (or [gcs], [azure], [http])")
    items = {key: item for item, key in keys.items()}  # what was bad is tried again: ffmpeg may be there now
    found = cached_map(probe_as_dict, items, cache, jobs, f"reading {name}", keep=lambda fields: not fields["problem"])
    return {item: Probe(**found[key]) for item, key in keys.items()}


def probe_as_dict(audio: str) -> dict[str, Any]:
    """Probe a file, for the cache."""
    return asdict(probe(audio))


@dataclass
class MixDown(AudioTransform):
    """The mean of all channels, as Lhotse reads a recording; a recording has it in its manifest."""

    def __call__(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        return samples.mean(axis=0, keepdims=True)

    def reverse_timestamps(
        self, offset: float, duration: float | None, sampling_rate: int | None
    ) -> tuple[float, float | None]:
        return offset, duration


def make_recording(name: str, audio: str, found: Probe, channel: int | None) -> Recording:
    """Return a recording at 16 kHz with one channel, which Lhotse resamples and mixes down when it reads it."""
    mixed = found.channels > 1 and channel is None
    kind, command = source_kind(audio), ""
    if kind == "command":
        command = audio[:-1].strip()
    elif found.converted:
        command = ffmpeg_command(audio)
    elif kind == "file" and audio.lower().endswith(".sph"):
        command = f"cat {shlex.quote(audio)}"  # Lhotse wants sph2pipe for that name, but libsndfile reads such files
    recording = Recording(
        id=name,
        # Of a recording that is mixed down Lhotse must know one channel only, or it would read that one.
        sources=[
            AudioSource("command" if command else kind, [0] if mixed else list(range(found.channels)), command or audio)
        ],
        sampling_rate=found.rate,
        num_samples=found.samples,
        duration=found.samples / found.rate,
        transforms=[MixDown().to_dict()] if mixed else None,
    )
    return recording.resample(SAMPLING_RATE) if found.rate != SAMPLING_RATE else recording
