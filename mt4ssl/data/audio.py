"""Audio files, checked before anything is computed from them."""

from __future__ import annotations

from pathlib import Path

import soundfile

from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.errors import UserError


def check_audio(path: Path) -> None:
    """Decode the whole file; raise UserError unless every sample is there, at 16 kHz, in one channel."""
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, promised = file.samplerate, file.channels, file.frames
            decoded = len(file.read(dtype="int16"))
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be read ({error.error_string}): restore it from the corpus") from error
    if decoded == 0:
        raise UserError(f"{path} holds no audio: restore it, or remove it and its transcript")
    if decoded != promised:
        raise UserError(f"{path} breaks off after {decoded} of {promised} samples: restore it from the corpus")
    if rate != SAMPLING_RATE or channels != 1:
        raise UserError(
            f"{path} has {rate} Hz and {channels} channel(s), but the recipes need {SAMPLING_RATE} Hz and one:"
            f" sox IN.flac -r {SAMPLING_RATE} -c 1 OUT.flac converts it"
        )
