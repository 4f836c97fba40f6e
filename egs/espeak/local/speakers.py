"""Speakers: an accent and a timbre of espeak-ng each, with their own pace, pitch, loudness and noise."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from mt4ssl.errors import UserError

ACCENTS = "en en-029 en-GB-scotland en-GB-x-gbclan en-GB-x-gbcwmd en-GB-x-rp en-US en-US-nyc".split()
FEMALE = "f1 f2 f3 f4 f5 Alicia Annie aunty belinda grandma linda shelby".split()
MALE = "m1 m2 m3 m4 m5 m6 m7 m8 Andy Denis Gene Lee Michael Mike adam benjamin boris edward max victor".split()


@dataclass(frozen=True)
class Speaker:
    """One voice; `rate` in words per minute, `pitch` 0 to 100, `level` in dB of full scale, `snr` in dB."""

    id: int
    split: str
    voice: str
    sex: str
    rate: int
    pitch: int
    level: float
    snr: float


def make_speakers(counts: dict[str, int], seed: int) -> list[Speaker]:
    """Return `counts[split]` speakers per split; no voice (accent + timbre) is in two splits.

    The split "train" comes last: where it wants more speakers than there are voices left, voices return with
    another pace and pitch.
    """
    generator = random.Random(seed)
    voices = [(accent, variant) for accent in ACCENTS for variant in FEMALE + MALE]
    generator.shuffle(voices)
    if sum(counts.values()) - counts["train"] >= len(voices):
        raise UserError(f"there are {len(voices)} voices for all splits: ask for fewer dev and test speakers")
    speakers = []
    for number, (split, count) in enumerate(counts.items(), start=1):
        chosen = list(itertools.islice(itertools.cycle(voices), count))
        voices = voices[count:]
        for index, (accent, variant) in enumerate(chosen, start=1):
            speakers.append(
                Speaker(
                    id=1000 * number + index,
                    split=split,
                    voice=f"gmw/{accent}+{variant}",
                    sex="F" if variant in FEMALE else "M",
                    rate=generator.randint(115, 155),
                    pitch=generator.randint(35, 65),
                    level=generator.uniform(-30, -20),
                    snr=generator.uniform(20, 40),
                )
            )
    return speakers
