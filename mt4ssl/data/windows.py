"""Long recordings in windows, so that pre-training sees every second of them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.errors import UserError


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

    Each window is as long as it can be, and ends at the longest pause of its second half.
    """
    pauses = [(before[1], after[0]) for before, after in pairwise(speech)]
    windows = []
    while end - start > max_seconds:
        middles = [(stop - begin, (begin + stop) / 2) for begin, stop in pauses]
        reached = [pause for pause in middles if start + max_seconds / 2 <= pause[1] <= start + max_seconds]
        border = round(max(reached)[1] if reached else start + max_seconds, 2)
        windows.append((start, border))
        start = border
    return [*windows, (start, end)]


@cache
def silero() -> Any:
    """Return the model of silero-vad, which is part of its package."""
    try:
        from silero_vad import load_silero_vad
    except ImportError as error:
        raise UserError("`vad: true` needs the package silero-vad: pip install silero-vad") from error
    return load_silero_vad()


def find_speech(samples: np.ndarray) -> list[tuple[float, float]]:
    """Return start and end of each stretch of speech in samples (S,) at 16 kHz, in seconds."""
    import torch
    from silero_vad import get_speech_timestamps

    found = get_speech_timestamps(torch.from_numpy(samples), silero(), sampling_rate=SAMPLING_RATE)
    return [(segment["start"] / SAMPLING_RATE, segment["end"] / SAMPLING_RATE) for segment in found]
