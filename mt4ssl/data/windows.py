"""Long recordings in windows, so that pre-training sees every second of them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

from lhotse import MonoCut

from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.errors import UserError

SHORTEST = 0.5  # seconds of a window that begins or ends at a pause


def full_windows(start: float, end: float, max_seconds: float) -> list[tuple[float, float]]:
    """Cut a stretch into windows of `max_seconds`; the last two share what is left, rounded to 10 ms as frames are.

    Equal lengths matter: a batch of pre-training is cropped to its shortest window, so that an epoch sees up to 2 %
    less of windows that differ between recordings.
    """
    borders = [start]
    while end - borders[-1] > 2 * max_seconds:
        borders.append(borders[-1] + max_seconds)
    if end - borders[-1] > max_seconds:
        borders.append(round((borders[-1] + end) / 2, 2))
    return list(pairwise([*borders, end]))


def pause_windows(
    start: float, end: float, max_seconds: float, speech: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Cut a stretch in the middle of pauses; where there is none for too long, anywhere.

    Each window ends at the longest pause of its second half; if there is none, at the last one before it.
    """
    pauses = [(after[0] - before[1], (before[1] + after[0]) / 2) for before, after in pairwise(speech)]
    windows = []
    while end - start > max_seconds:
        last = min(start + max_seconds, end - SHORTEST)
        reached = [pause for pause in pauses if start + SHORTEST <= pause[1] <= last]
        late = [pause for pause in reached if start + max_seconds / 2 <= pause[1]]
        border = round(max(late or reached[-1:])[1] if reached else last, 2)
        windows.append((start, border))
        start = border
    return [*windows, (start, end)]


@cache
def silero() -> tuple[Any, Any]:
    """Return what finds speech, and its model, which are both in the package silero-vad."""
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise UserError("`vad: true` needs the package silero-vad: pip install silero-vad") from error
    return get_speech_timestamps, load_silero_vad()


def find_speech(cut: MonoCut) -> list[tuple[float, float]]:
    """Return start and end of each stretch of speech in a cut at 16 kHz, in seconds of its recording."""
    import torch

    get_speech_timestamps, model = silero()
    found = get_speech_timestamps(torch.from_numpy(cut.load_audio()[0]), model, sampling_rate=SAMPLING_RATE)
    times = [(segment["start"] / SAMPLING_RATE, segment["end"] / SAMPLING_RATE) for segment in found]
    return [(cut.start + begin, cut.start + end) for begin, end in times]
