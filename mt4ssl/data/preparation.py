"""Stage 1: from a corpus as it is to Lhotse manifests in which everything can be relied on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

from lhotse import MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from mt4ssl.data.audio import Probe, cache_key, make_recording, probe_all
from mt4ssl.data.corpus import Corpus
from mt4ssl.data.layouts import Layout, Utterance
from mt4ssl.data.layouts.base import safe_id
from mt4ssl.data.manifests import Manifests
from mt4ssl.data.parallel import cached_map
from mt4ssl.data.problems import Problems, printable
from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.data.windows import find_speech, full_windows, pause_windows, silero
from mt4ssl.errors import UserError
from mt4ssl.lang.text import TextConfig

SHORTEST = 0.025  # seconds: a frame of fbank or MFCC
MANY_UTTERANCES = 10  # for which a recording is decoded from its beginning before it is noted
SLACK = 0.1  # seconds that a segment may end after its recording, since lists round
ROUNDED = 0.001  # seconds that are not worth a word
LONGEST_WITH_TEXT = 60.0  # seconds that fit into memory in one piece
CHARACTERS_PER_SECOND = 50  # CTC writes at most one token a frame of 20 ms


@dataclass
class Split:
    """A split that has been checked: what there is of it, and what was done to it."""

    name: str
    problems: Problems
    recordings: dict[str, Recording] = field(default_factory=dict)
    supervisions: dict[str, SupervisionSegment] = field(default_factory=dict)
    resampled: int = 0
    """Recordings that are resampled when they are read."""
    mixed_down: int = 0
    """Recordings whose channels are mixed down when they are read."""
    windows: int = 0
    """Windows that long recordings were cut into."""

    def manifests(self) -> Manifests:
        """Return what Lhotse is to know of it."""
        return Manifests(
            RecordingSet.from_recordings(self.recordings.values()),
            SupervisionSet.from_segments(self.supervisions.values()),
        )


def prepare_split(corpus: Corpus, name: str, needs_text: bool, cache: Path, jobs: int) -> Split:
    """Read, check and repair a split."""
    split = Split(name, Problems(name))
    layout = corpus.layout(name)
    listed = list(with_safe_ids(layout.read(split.problems), layout.prefix, split.problems))
    check_commands(name, layout, listed)
    probes = probe_all((utterance.audio for utterance in listed), cache, jobs, name)
    recordings: dict[tuple[str, bool], Recording] = {}  # by their audio, and whether it is mixed down
    used: set[str] = set()
    names = {utterance.id for utterance in listed}
    segments: list[SupervisionSegment] = []
    for utterance in sorted(listed, key=lambda utterance: utterance.id):
        found = probes[utterance.audio]
        if layout.channel is not None:
            utterance.channel = layout.channel
        checked = check(utterance, found, corpus.text, needs_text, split.problems)
        if checked is None:
            continue
        key = (utterance.audio, utterance.channel is None)
        if key not in recordings:
            recordings[key] = add_recording(split, unused(utterance.recording, used), checked, found)
        segments.append(supervision(checked, recordings[key]))
    long = [segment for segment in segments if is_long(segment, corpus.max_seconds)]
    speech: dict[str, list[tuple[float, float]]] = {}
    if layout.vad and long:
        speech = speech_in(long, split.recordings, cache.with_name("speech.jsonl"), jobs, name)
    for segment in segments:
        if is_long(segment, corpus.max_seconds):
            for window in cut_windows(segment, speech.get(segment.id), corpus.max_seconds):
                window.id = unused(window.id, names)
                split.supervisions[window.id] = window
                split.windows += 1
        else:
            split.supervisions[segment.id] = segment
    note_overlaps(split)
    note_slow_reading(split)
    return split


def check_commands(split: str, layout: Layout, utterances: list[Utterance]) -> None:
    """Raise UserError where the audio is the output of a command, and nobody said that it may run."""
    command = next((utterance for utterance in utterances if utterance.audio.endswith("|")), None)
    if command and not layout.commands:
        raise UserError(
            f"split {split}: the audio of {command.id} is the command '{printable(command.audio)}': if you want such "
            "commands to be run, add `commands: true` to the split in conf/corpus.yaml"
        )


def unused(name: str, used: set[str]) -> str:
    """Return the name, or the first of NAME-2, NAME-3, ... that is free; it is noted as used."""
    free, numbers = name, count(2)
    while free in used:
        free = f"{name}-{next(numbers)}"
    used.add(free)
    return free


def with_safe_ids(utterances: Iterable[Utterance], prefix: str, problems: Problems) -> Iterator[Utterance]:
    """Yield the utterances of different ids, with ids that can be names of files and words of Kaldi's lists."""
    raw: set[str] = set()
    used: set[str] = set()
    for utterance in utterances:
        if utterance.id in raw:
            problems.rejected(utterance.id, utterance.audio, "id stands twice: the first is taken")
            continue
        raw.add(utterance.id)
        safe = unused(safe_id(prefix + utterance.id), used)
        if safe != prefix + utterance.id:
            was = f"was {utterance.id!r}"
            problems.repaired(
                safe, utterance.audio, "id cannot name a file, or is like another one", "given another id", was
            )
        yield replace(utterance, id=safe, recording=safe_id(prefix + utterance.recording))


def check(
    utterance: Utterance, found: Probe, text: TextConfig, needs_text: bool, problems: Problems
) -> Utterance | None:
    """Return the utterance as it can be used, or None; both are noted."""
    reject = partial(problems.rejected, utterance.id, utterance.audio)
    if found.problem:
        return reject(found.problem, found.detail)
    if utterance.channel is not None and not 0 <= utterance.channel < found.channels:
        return reject("the audio lacks the channel that is wanted", f"{utterance.channel}, it has {found.channels}")
    length = found.samples / found.rate
    utterance = replace(utterance, text=text.normalise(utterance.text or "") or None)
    end = utterance.end
    if end is not None and end > length:
        if end > length + SLACK:
            return reject("the segment ends after its audio", f"at {end:g} s of {length:g} s")
        if end > length + ROUNDED:
            problems.repaired(utterance.id, utterance.audio, "the segment ends just after its audio", "ends with it")
        end = None
    stop = length if end is None else end
    if utterance.start < 0 or utterance.start >= length:
        return reject("the segment starts outside of its audio", f"at {utterance.start:g} s of {length:g} s")
    if utterance.start >= stop:
        return reject("the segment ends before it starts", f"{utterance.start:g} s to {stop:g} s")
    seconds = stop - utterance.start
    if utterance.seconds is not None and abs(utterance.seconds - seconds) > SLACK:
        return reject("utt2dur says another duration", f"{utterance.seconds:g} s, but it is {seconds:g} s")
    if seconds < SHORTEST:
        return reject("shorter than a frame", f"{seconds:g} s")
    if needs_text and utterance.text is None:
        return reject("no text, which labelled, dev and test sets need")
    if utterance.text and needs_text and seconds > LONGEST_WITH_TEXT:
        return reject("too long to learn its text from: it needs segments", f"{seconds:g} s")
    if utterance.text and len(utterance.text.replace(" ", "")) > CHARACTERS_PER_SECOND * seconds:
        return reject("more text than can be said in its time", f"{len(utterance.text)} characters in {seconds:g} s")
    if found.clipped:
        problems.repaired(utterance.id, utterance.audio, "clipped", "taken as it is")
    return replace(utterance, end=end)


def add_recording(split: Split, name: str, utterance: Utterance, found: Probe) -> Recording:
    """Add the recording of an utterance and return it, and count what is done to it when it is read."""
    split.recordings[name] = make_recording(name, utterance.audio, found, utterance.channel)
    split.resampled += found.rate != SAMPLING_RATE
    split.mixed_down += found.channels > 1 and utterance.channel is None
    return split.recordings[name]


def supervision(utterance: Utterance, recording: Recording) -> SupervisionSegment:
    """Return the supervision of a checked utterance."""
    end = recording.duration if utterance.end is None else utterance.end
    return SupervisionSegment(
        id=utterance.id,
        recording_id=recording.id,
        start=utterance.start,
        duration=round(end - utterance.start, 8),
        channel=utterance.channel or 0,
        text=utterance.text,
        speaker=utterance.speaker,
        gender=utterance.gender,
    )


def is_long(segment: SupervisionSegment, max_seconds: float) -> bool:
    """Return whether a segment is to be cut into windows."""
    return segment.duration > (max_seconds if segment.text is None else LONGEST_WITH_TEXT)


def speech_in(
    segments: list[SupervisionSegment], recordings: dict[str, Recording], cache: Path, jobs: int, name: str
) -> dict[str, list[tuple[float, float]]]:
    """Return start and end of all speech in each segment, by its id, in seconds of the recording."""
    silero()  # an error if it is not there, before anything starts
    cuts, keys = {}, {}
    for segment in segments:
        source = recordings[segment.recording_id].sources[0]
        place = [source.channels, segment.channel, segment.start, segment.duration]
        keys[segment.id] = json.dumps([cache_key(str(source.source)), *place])
        cuts[keys[segment.id]] = MonoCut(
            segment.id, segment.start, segment.duration, segment.channel, recording=recordings[segment.recording_id]
        )
    found = cached_map(find_speech, cuts, cache, jobs, f"speech in {name}")
    return {segment: found[key] for segment, key in keys.items()}


def cut_windows(
    segment: SupervisionSegment, speech: list[tuple[float, float]] | None, max_seconds: float
) -> list[SupervisionSegment]:
    """Return windows of a long segment, without text; they begin and end at pauses where its speech is known."""
    if speech is None:
        borders = full_windows(segment.start, segment.end, max_seconds)
    else:
        borders = pause_windows(segment.start, segment.end, max_seconds, speech)
    return [
        replace(segment, id=f"{segment.id}-{number:04d}", start=start, duration=round(end - start, 8), text=None)
        for number, (start, end) in enumerate(borders)
    ]


def note_overlaps(split: Split) -> None:
    """Note the utterances that begin before another one of their recording ends."""
    last: dict[tuple[str, int], SupervisionSegment] = {}
    for segment in sorted(split.supervisions.values(), key=lambda segment: (segment.recording_id, segment.start)):
        place = (segment.recording_id, segment.channel)
        before = last.get(place)
        if before is not None and segment.start < before.end - SLACK:
            source = str(split.recordings[segment.recording_id].sources[0].source)
            split.problems.repaired(
                segment.id, source, "overlaps with another segment", "taken as it is", f"with {before.id}"
            )
        if before is None or segment.end > before.end:
            last[place] = segment


def note_slow_reading(split: Split) -> None:
    """Note the recordings that a command, or a store, gives from the beginning for each of many utterances."""
    for name, number in Counter(segment.recording_id for segment in split.supervisions.values()).items():
        source = split.recordings[name].sources[0]
        if source.type != "file" and number > MANY_UTTERANCES:
            split.problems.repaired(
                name, source.source, "all of it is read for each utterance",
                "taken as it is; FLAC files on a disk are faster", f"{number} utterances",
            )  # fmt: skip
