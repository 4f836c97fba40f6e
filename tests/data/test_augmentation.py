"""Augmented batches hold what Lhotse makes of the same cuts, and depend on (seed, number) alone."""

import random

import numpy as np
import pytest
import torch
from corpora import tones, write_audio
from lhotse import CutSet, LilcomChunkyWriter, SupervisionSegment
from lhotse.dataset import SpecAugment

from mt4ssl.data.audio import make_recording, probe
from mt4ssl.data.augmentation import AugmentConfig, spec_augment
from mt4ssl.data.ctc import CtcDataset, fits
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.data.loading import load_input, load_steps
from mt4ssl.data.signals import FBANK
from mt4ssl.errors import UserError
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
    spectrum = np.abs(np.fft.rfft(batch.inputs[0, : batch.lengths[0]].numpy()))
    assert spectrum.argmax() / batch.seconds == pytest.approx(440 * speed, abs=2)
    assert batch.seconds == pytest.approx(cuts[0].duration / speed, abs=1e-3)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_without_augmentation_batches_are_the_stored_inputs(cuts, frontend):
    signal = FRONTENDS[frontend].reads
    for batch in batches_of(dataset(cuts, frontend), 2):
        for cut in (cut for cut in cuts if cut.id in batch.ids):
            assert torch.equal(rows(batch)[cut.id], torch.from_numpy(load_input(cut, signal)))


ALL = {"speeds": SPEEDS, "time_warp_factor": 20, "num_feature_masks": 2, "num_frame_masks": 3, "frames_mask_size": 10}
AUGMENTED = [("fbank", ALL), ("waveform", {"speeds": SPEEDS})]


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
    for number, batch in zip(range(2, len(whole)), load_steps(resumed, range(2, len(whole)), workers)):
        assert torch.equal(batch.inputs, whole[number].inputs) and batch.ids == whole[number].ids
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


def changed_rows(cuts, **augment):
    """Fbank of an utterance before and after, and where each value changed, of all utterances that changed."""
    data, plain = dataset(cuts, **augment), dataset(cuts)
    pairs = []
    for after, before in zip(batches_of(data, 8), batches_of(plain, 8)):
        assert torch.equal(after.lengths, before.lengths) and after.ids == before.ids
        for row, length in zip(after.inputs, after.lengths):
            assert (row[length:] == 0).all()
        pairs += [(rows(before)[name], row) for name, row in rows(after).items()]
    changed = [(before, after, before != after) for before, after in pairs if not torch.equal(before, after)]
    assert 0.75 * len(pairs) < len(changed) < len(pairs)  # nine of ten
    return changed


def mean_of(fbank):
    return pytest.approx(fbank.mean().item(), abs=1e-3)


def test_masked_bands_are_of_the_mean(cuts):
    for before, after, mask in changed_rows(cuts, num_feature_masks=2, features_mask_size=20):
        bands = mask.any(0)
        assert bands.sum() <= 2 * 19 and (bands.int().diff() == 1).sum() + bands[0].int() <= 2
        assert mask[:, bands].all() and after[:, bands].min().item() == after[:, bands].max().item() == mean_of(before)


def test_masked_stretches_are_of_the_mean(cuts):
    most = 0
    for before, after, mask in changed_rows(cuts, num_frame_masks=2, frames_mask_size=12):
        frames = mask.any(1)
        assert frames.sum() <= 0.15 * len(before)
        assert mask[frames].all() and after[frames].min().item() == after[frames].max().item() == mean_of(before)
        starts = int((frames.int().diff() == 1).sum() + frames[0].int())
        assert starts <= 2
        most = max(most, starts)
    assert most == 2


def test_a_warped_utterance_has_the_same_frames_at_other_times(cuts):
    """Frames that rise with time still do: early ones sooner and late ones too, or all of them later."""
    for before, after, _ in changed_rows(cuts, time_warp_factor=20):
        assert len(before) == len(after)
    ramp = torch.arange(100.0)[:, None].expand(100, 80)
    config = AugmentConfig(time_warp_factor=20)
    warped = [spec_augment([ramp], config, np.random.default_rng(seed))[0][:, 0] for seed in range(20)]
    moved = [row - ramp[:, 0] for row in warped]
    assert all((row.diff() > -0.2).all() for row in warped)  # bicubic interpolation overshoots at the joint
    assert all((shift >= -0.6).all() or (shift <= 0.6).all() for shift in moved)
    assert 10 < max(shift.abs().max() for shift in moved) <= 20.6


def seed_global_generators(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def test_spec_augment_is_lhotses_and_leaves_global_generators_alone(cuts):
    utterances = [torch.from_numpy(cut.load_features()) for cut in cuts]
    seed_global_generators(int(np.random.default_rng(3).integers(2**32)))
    lhotses = SpecAugment(20, 2, 27, 3, 10)
    expected = [lhotses(x[None])[0] for x in utterances]

    seed_global_generators(5)
    next_draws = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    seed_global_generators(5)
    ours = spec_augment(utterances, AugmentConfig(**ALL), np.random.default_rng(3))
    assert next_draws == (random.random(), np.random.rand(), torch.rand(1))  # noqa: NPY002
    assert all(torch.equal(x, row) for x, row in zip(expected, ours))


@pytest.mark.parametrize("part", [{"time_warp_factor": 3}, {"num_feature_masks": 1}, {"num_frame_masks": 9}])
@pytest.mark.parametrize("size", [2, 5, 80])
def test_utterances_of_any_length(part, size):
    config = AugmentConfig(**part, features_mask_size=size, frames_mask_size=size)
    utterances = [torch.randn(frames, 80) for frames in range(1, 150)]
    for seed in range(3):
        augmented = spec_augment(utterances, config, np.random.default_rng(seed))
        assert [x.shape for x in augmented] == [x.shape for x in utterances]
        assert all(x.isfinite().all() for x in augmented)


def test_spec_augment_of_waveforms_is_refused(cuts):
    with pytest.raises(UserError, match="needs fbank.*set .*ctc.time_mask_prob"):
        dataset(cuts, "waveform", num_feature_masks=2)


@pytest.mark.parametrize(
    "wrong", [{"num_frame_masks": -1}, {"frames_mask_size": 0}, {"features_mask_size": 81}, {"time_warp_factor": -80}]
)
def test_impossible_masks(wrong):
    with pytest.raises(ValueError, match=f"augment: .*{next(iter(wrong))}"):
        AugmentConfig(**wrong)
