"""The espeak-ng synthesiser through its C interface (speak_lib.h): text in, samples and timed phones out."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np

from mt4ssl.errors import UserError

SAMPLING_RATE = 22050
SYNCHRONOUS = 2  # audio output mode: the samples go to the callback before espeak_Synth returns
PHONEME_EVENTS, PHONEMES_AS_IPA, DO_NOT_EXIT = 0x0001, 0x0002, 0x8000  # options of espeak_Initialize
RATE, PITCH = 1, 3  # parameters of espeak_SetParameter
LIST_TERMINATED, PHONEME = 0, 7  # event types
UTF8 = 1
STRESS_MARKS = str.maketrans("", "", "ˈˌ")


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesiser:
    """One voice: the library keeps traces of a voice in its global variables, so use a process per voice."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._data = Path(espeakng_loader.get_data_path())
        options = PHONEME_EVENTS | PHONEMES_AS_IPA | DO_NOT_EXIT
        folder = os.path.relpath(self._data)  # espeak-ng has room for 160 bytes of it
        rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, folder.encode(), options)
        if rate != SAMPLING_RATE:
            raise UserError(f"espeak-ng did not start with its data in {self._data}: remove it and run again")
        self._callback = _Callback(self._receive)  # kept: C holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != LIST_TERMINATED:
            if events[index].type == PHONEME:
                event = events[index]
                self._phones.append((event.id.string, event.sample, event.text_position))
            index += 1
        return 0

    def _set_voice(self, voice: str) -> None:
        # An unknown accent leaves the voice as it was; an unknown variant is ignored, without an error code.
        variant = self._data / "voices" / "!v" / voice.partition("+")[2]
        if not variant.is_file() or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice {voice}")

    def speak(
        self, text: str, voice: str, rate: int, pitch: int, seed: int
    ) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
        """Return int16 samples at 22.05 kHz, and phonemes: IPA symbol or "sil", first sample, where its word begins.

        `voice` is accent+variant ("gmw/en-US+f2"), `rate` words per minute, `pitch` 0 to 100.
        """
        self._audio, self._phones = [], []
        self._set_voice(voice)
        self._library.espeak_SetParameter(RATE, rate, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        data = text.lower().encode() + b"\0"  # upper case might be spelt out as letters
        if self._library.espeak_Synth(data, len(data), 0, 1, 0, UTF8, None, None) != 0 or not self._audio:
            raise UserError(f"espeak-ng could not speak: {text}")
        phones = [
            (name.decode().translate(STRESS_MARKS) or "sil", start, position - 1)
            for name, start, position in self._phones
        ]
        return np.concatenate(self._audio), phones
