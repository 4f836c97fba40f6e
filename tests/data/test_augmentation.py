"""Augmented batches hold what Lhotse makes of the same cuts, and depend on (seed, number) alone."""

import numpy as np
import pytest
import torch
from corpora import tones, write_audio
from lhotse import CutSet, LilcomChunkyWriter, SupervisionSegment

from mt4ssl.data.audio import make_recording, probe
from mt4ssl.data.augmentation import AugmentConfig
from mt4ssl.data.ctc import CtcDataset, fits
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.data.loading import load_input, load_steps
from mt4ssl.data.signals import FBANK
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.train.processes import MicroBatches

FRONTENDS = {"fbank": FrontendConfig("fbank", 8, [3, 3], [2, 2]), "waveform": FrontendConfig("waveform", 8)}
SPEEDS = [0.9, 1.0, 1.1]


def encode(text, utterance):
    return [ord(character) for character in text]


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """Twelve cuts of 0.7 to 1.8 s of a long recording, which is stereo FLAC at 22.05 kHz, with stored fbank."""
    folder = tmp_path_factory.mktemp("long recording")
    rng = np.random.default_rng(0)
    samples = tones(22050, 440, 1000, seconds=20) * [1, 0.5] * np.abs(np.sin(np.arange(20 * 22050) / 9000))[:, None]
    audio = write_audio(folder / "long.flac", samples + rng.normal(scale=0.01, size=samples.shape), 22050)
    recording = make_recording("long", audio, probe(audio), channel=None)
    durations = 0.7 + np.arange(12) / 10 + 0.00007 * np.arange(12)  # not whole frames
    made = []
    with LilcomChunkyWriter(folder / "feats.lca") as features:
        for number, (end, duration) in enumerate(zip(np.cumsum(durations), durations)):
            cut = recording.to_cut().truncate(offset=end - duration, duration=duration).with_id(f"utt{number}")
            cut.supervisions = [SupervisionSegment(f"utt{number}", "long", 0, cut.duration, text="AB C")]
            made.append(cut.compute_and_store_features(make_extractor("fbank"), features))
    CutSet.from_cuts(made).to_file(folder / "cuts.jsonl.gz")
    return Cuts.read(folder / "cuts.jsonl.gz")


def dataset(cuts, frontend="fbank", seconds=6.0, encode=encode, **augment):
    return CtcDataset(cuts, FRONTENDS[frontend], encode, seconds, seconds, 0, AugmentConfig(**augment))


def rows(batch):
    """Inputs of a batch without padding, by id of the cut."""
    return {name: row[:length] for name, row, length in zip(batch.ids, batch.inputs, batch.lengths)}


def batches_of(data, epochs):
    return [data.batch(number) for number in range(epochs * data.plan.batches_per_epoch)]


def lhotse_input(cut, speed, signal):
    """What Lhotse alone makes of a cut at another speed."""
    if speed == 1:
        return cut.load_features() if signal == FBANK else cut.load_audio()[0]
    perturbed = CutSet.from_cuts([cut.drop_features()]).perturb_speed(speed)[0]
    return perturbed.compute_features(make_extractor("fbank")) if signal == FBANK else perturbed.load_audio()[0]


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_each_utterance_is_what_lhotse_makes_of_it_at_one_of_the_speeds(cuts, frontend):
    signal = FRONTENDS[frontend].reads
    expected = {cut.id: {s: torch.from_numpy(lhotse_input(cut, s, signal)) for s in SPEEDS} for cut in cuts}
    drawn = {cut.id: [] for cut in cuts}
    for batch in batches_of(dataset(cuts, frontend, speeds=SPEEDS), 8):
        for name, row in rows(batch).items():
            drawn[name] += [speed for speed in SPEEDS if torch.equal(row, expected[name][speed])]
        assert batch.seconds == pytest.approx(int(batch.lengths.sum()) / signal.rate, abs=0.01 * len(batch.ids))
    assert {len(speeds) for speeds in drawn.values()} == {8}
    assert all(len(set(speeds)) > 1 for speeds in drawn.values())
    counts = np.unique([speed for speeds in drawn.values() for speed in speeds], return_counts=True)[1]
    assert (counts > 96 / 3 / 2).all()


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_tone_is_higher_and_shorter_at_a_higher_speed(cuts, speed):
    cuts = cuts.take([11])
    batch = dataset(cuts, "waveform", speeds=[speed]).batch(0)
    spectrum = np.abs(np.fft.rfft(batch.inputs[0].numpy()))
    assert spectrum.argmax() / batch.seconds == pytest.approx(440 * speed, abs=2)
    assert batch.seconds == pytest.approx(cuts[0].duration / speed, abs=1e-3)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_without_augmentation_batches_are_the_stored_inputs(cuts, frontend):
    signal = FRONTENDS[frontend].reads
    for batch in batches_of(dataset(cuts, frontend), 2):
        for cut in (cut for cut in cuts if cut.id in batch.ids):
            assert torch.equal(rows(batch)[cut.id], torch.from_numpy(load_input(cut, signal)))


AUGMENTED = [("fbank", {"speeds": SPEEDS}), ("waveform", {"speeds": SPEEDS})]


@pytest.mark.parametrize("frontend, augment", AUGMENTED)
def test_an_epoch_in_order_is_never_augmented(cuts, frontend, augment):
    augmented, plain = dataset(cuts, frontend, **augment).epoch(), dataset(cuts, frontend).epoch()
    assert len(augmented) == len(plain)
    for number in range(len(plain)):
        assert torch.equal(augmented[number].inputs, plain[number].inputs)


@pytest.mark.parametrize("frontend, augment", AUGMENTED)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_depends_on_its_number_alone(cuts, frontend, augment, workers):
    """In whatever process and order; the batches of a resumed training are those of one that was not interrupted."""
    data = dataset(cuts, frontend, **augment)
    whole = batches_of(data, 3)
    resumed = MicroBatches(dataset(cuts, frontend, **augment), 6.0)
    for number, update in zip(range(2, len(whole)), load_steps(resumed, range(2, len(whole)), workers)):
        assert torch.equal(update[0].inputs, whole[number].inputs) and update[0].ids == whole[number].ids
    other = CtcDataset(cuts, FRONTENDS[frontend], encode, 100, 100, 1, AugmentConfig(**augment)).batch(0)
    same = CtcDataset(cuts, FRONTENDS[frontend], encode, 100, 100, 0, AugmentConfig(**augment)).batch(0)
    assert any(not torch.equal(row, rows(same)[name]) for name, row in rows(other).items())


def test_an_utterance_that_no_longer_fits_keeps_its_speed(cuts):
    """Its tokens are as many as its frames, of which there are fewer at speed 1.1 and more at 0.9."""
    frontend = FRONTENDS["fbank"]
    sizes = {cut.id: frontend.frames(int(cut.duration * 100)) for cut in cuts}

    def as_many(text, utterance):
        return list(range(sizes[utterance]))

    def lengths(encode, speed):
        return {
            name: len(row) for name, row in rows(dataset(cuts, "fbank", 20, encode, speeds=[speed]).batch(0)).items()
        }

    assert all(fits(as_many("", cut.id), cut, frontend, slots=1) for cut in cuts)
    unchanged = lengths(as_many, 1.0)
    assert lengths(as_many, 1.1) == unchanged
    assert all(length > unchanged[name] for name, length in lengths(as_many, 0.9).items())
    assert all(length < unchanged[name] for name, length in lengths(encode, 1.1).items())


@pytest.mark.parametrize("speeds", [[], [1.0, 90.0], [0.0]])
def test_impossible_speeds(speeds):
    with pytest.raises(ValueError, match="augment.speeds"):
        AugmentConfig(speeds=speeds)
