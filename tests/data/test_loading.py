"""Batches of tensors: crops and labels stay together, padding is known, errors name the cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lhotse import CutSet, NumpyFilesWriter, Recording
from lhotse.testing.dummies import dummy_supervision

from mt4ssl.data.augmentation import AugmentConfig
from mt4ssl.data.ctc import CtcDataset, transcript
from mt4ssl.data.cuts import ROW, Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.data.loading import load_input, load_steps, read_cuts
from mt4ssl.data.pretraining import PretrainDataset, frame_labels
from mt4ssl.errors import UserError
from mt4ssl.inference.log_probs import no_tokens
from mt4ssl.models.frontend import FrontendConfig

FBANK = FrontendConfig("fbank", 8, [3, 3], [2, 2])
WAVEFORM = FrontendConfig("waveform", 8)


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """Cuts of 1 to 3.6 s whose samples rise with time, and whose label at 10 ms frame t is t."""
    import soundfile
    from lhotse import LilcomChunkyWriter

    folder = tmp_path_factory.mktemp("data set")
    made = []
    with LilcomChunkyWriter(folder / "feats.lca") as features:
        writer = NumpyFilesWriter(folder / "labels")
        for number in range(14):
            size = 16000 + 3200 * number
            samples = np.arange(size) / 65536 + np.random.default_rng(number).normal(size=size) * 1e-4
            soundfile.write(folder / f"{number}.wav", samples, 16000, subtype="FLOAT")
            cut = Recording.from_file(folder / f"{number}.wav").to_cut()
            supervision = dummy_supervision(number, 0, cut.duration, text="AB C")
            supervision.recording_id = cut.recording_id
            cut.supervisions = [supervision]
            cut = cut.compute_and_store_features(make_extractor("fbank"), features)
            labels = np.arange(cut.num_frames, dtype=np.int16)
            cut.kmeans = writer.store_array(cut.id, labels, frame_shift=0.01, temporal_dim=0, start=0)
            made.append(cut)
    CutSet.from_cuts(made).to_file(folder / "cuts.jsonl.gz")
    return Cuts.read(folder / "cuts.jsonl.gz")


def no_mask(lengths, size, rng):
    return np.zeros((len(lengths), size), dtype=bool)


def pretrain(cuts, frontend, **changes):
    options = dict(batch_seconds=8, max_batch_seconds=8, max_seconds=2.5, seed=0)
    return PretrainDataset(cuts, frontend, ["kmeans"], no_mask, **{**options, **changes})


def test_waveform_crops_and_labels_agree(cuts):
    data = pretrain(cuts, WAVEFORM)
    for number in range(data.plan.batches_per_epoch):
        batch = data.batch(number)
        assert batch.inputs.size(1) <= 2.5 * 16000
        assert batch.labels["kmeans"].shape == (len(batch.inputs), WAVEFORM.frames(batch.inputs.size(1)))
        starts = torch.round(batch.inputs[:, :100].mean(1) * 65536 - 49.5)  # the ramp tells where the crop begins
        np.testing.assert_allclose(batch.labels["kmeans"][:, 0], starts / 160, atol=0.5)
        assert (batch.labels["kmeans"].diff(dim=1) == 2).all()  # 20 ms frames, 10 ms labels


def test_fbank_crops_and_labels_agree(cuts):
    data = pretrain(cuts, FBANK)
    for number in range(data.plan.batches_per_epoch):
        batch = data.batch(number)
        assert batch.labels["kmeans"].size(1) == FBANK.frames(batch.inputs.size(1))
        assert (batch.labels["kmeans"].diff(dim=1) == 4).all() and (batch.labels["kmeans"][:, 0] % 4 == 0).all()
        assert (batch.lengths == batch.inputs.size(1)).all()


def test_waveforms_beside_fbank_are_those_of_the_same_crops(cuts):
    extractor = make_extractor("fbank")
    data = pretrain(cuts, FBANK, needs_waveforms=True, mixing_prob=1.0)
    unmixed = pretrain(cuts, FBANK)
    for number in range(3):
        batch = data.batch(number)
        assert batch.waveforms.shape == (len(batch.inputs), batch.inputs.size(1) * 160)
        for fbank, samples in zip(unmixed.batch(number).inputs, batch.waveforms):
            again = torch.from_numpy(extractor.extract(samples[None].numpy(), 16000))[
                3:-3
            ]  # ends see what is beyond the crop
            torch.testing.assert_close(fbank[3:-3], again, rtol=0, atol=0.3)  # stored lossily; ends see beyond the crop
    assert unmixed.batch(0).waveforms is None


def test_batches_are_a_function_of_their_number(cuts):
    first, second = pretrain(cuts, FBANK), pretrain(cuts, FBANK)
    second.batch(7)
    assert torch.equal(first.batch(3).inputs, second.batch(3).inputs)
    assert not torch.equal(pretrain(cuts, FBANK, seed=1).batch(3).inputs, first.batch(3).inputs)


@pytest.mark.parametrize("frontend", [WAVEFORM, FBANK])
def test_seconds_of_an_epoch_are_those_of_its_batches(cuts, frontend):
    data = pretrain(cuts, frontend)
    batches = [data.batch(number) for number in range(data.plan.batches_per_epoch)]
    assert data.epoch_seconds() == pytest.approx(sum(batch.seconds for batch in batches))
    assert data.epoch_seconds() < 0.9 * cuts.durations.sum()  # the longest have 3.6 s, of which 2.5 are taken


def test_masked_frames_are_those_of_the_mask(cuts):
    def draw(lengths, size, rng):
        mask = np.zeros((len(lengths), size), dtype=bool)
        mask[-1, 2] = mask[0, 1] = True
        return mask

    data = PretrainDataset(cuts, FBANK, ["kmeans"], draw, 8, 8, 2.5, 0)
    batch = data.batch(0)
    rows, frames = batch.labels["kmeans"].shape
    assert rows > 1 and batch.masked.tolist() == [1, (rows - 1) * frames + 2]


@pytest.mark.parametrize("frontend", [WAVEFORM, FBANK])
def test_mixing_touches_inputs_alone(cuts, frontend):
    plain, mixed, again = pretrain(cuts, frontend), *(pretrain(cuts, frontend, mixing_prob=1.0) for _ in range(2))
    again.batch(3)
    for number in range(3):
        before, after, same = (data.batch(number) for data in (plain, mixed, again))
        assert torch.equal(after.inputs, same.inputs) and after.inputs.dtype == before.inputs.dtype
        assert not torch.equal(after.inputs, before.inputs)
        assert torch.equal(after.labels["kmeans"], before.labels["kmeans"])
    assert not torch.equal(pretrain(cuts, frontend, mixing_prob=1.0, seed=1).batch(0).inputs, mixed.batch(0).inputs)


def windows(recordings, most):
    """Cuts of recordings of so many seconds, each cut evenly into the fewest windows of at most `most` seconds."""
    counts = np.ceil(np.asarray(recordings) / most).astype(int)
    durations = np.repeat(recordings / counts, counts)
    rows = np.zeros(len(durations), ROW)
    rows["seconds"] = durations
    return Cuts(rows, None)


@pytest.mark.parametrize("frontend", [WAVEFORM, FBANK])
@pytest.mark.parametrize("recordings", [[3000.0] * 6, np.random.default_rng(7).uniform(600, 3600, 20)])
def test_an_epoch_sees_all_of_long_recordings(recordings, frontend):
    cuts = windows(recordings, 20.0)
    data = pretrain(cuts, frontend, batch_seconds=90, max_batch_seconds=90, max_seconds=20)
    assert data.epoch_seconds() == pytest.approx(sum(recordings), rel=0.01)
    cropped = pretrain(cuts, frontend, batch_seconds=90, max_batch_seconds=90, max_seconds=12)
    assert cropped.epoch_seconds() == pytest.approx(0.6 * sum(recordings), rel=0.03)


def test_micro_batches_of_an_update(cuts):
    assert pretrain(cuts, FBANK, batch_seconds=16).parts == 2


def test_truncated_cut_truncates_its_labels(cuts):
    crop = cuts[9].truncate(offset=0.4, duration=0.8)
    np.testing.assert_array_equal(frame_labels(crop, "kmeans", 0.04, 20), range(40, 120, 4))


def test_labels_that_do_not_fit(cuts):
    with pytest.raises(UserError, match="no 'other' labels"):
        frame_labels(cuts[0], "other", 0.04, 25)
    with pytest.raises(UserError, match="25 'kmeans' labels for 40 frames"):
        frame_labels(cuts[0], "kmeans", 0.04, 40)
    with pytest.raises(UserError, match="do not fit frames"):
        frame_labels(cuts[0], "kmeans", 0.015, 60)
    assert len(frame_labels(cuts[0], "kmeans", 0.04, 26)) == 26


def encode(text, utterance):
    return [ord(character) for character in text]


def test_ctc_batches_pad_and_tell(cuts):
    data = CtcDataset(cuts, FBANK, encode, 8, 8, seed=0)
    batch = data.batch(0)
    assert batch.tokens[0, : batch.token_lengths[0]].tolist() == encode("AB C", "")
    for row, length in zip(batch.inputs, batch.lengths):
        assert row[length:].abs().sum() == 0
    assert 0 <= batch.inputs.size(1) - max(batch.lengths) < 64 and batch.inputs.size(1) % 64 == 0


def test_an_epoch_holds_every_cut_once(cuts):
    data = CtcDataset(cuts, FBANK, encode, 8, 8, seed=0).epoch()
    ids = [name for number in range(len(data)) for name in data[number].ids]
    assert sorted(ids) == sorted(cut.id for cut in cuts)


def test_emission_reads_no_reference(cuts):
    batch = CtcDataset(cuts, FBANK, no_tokens, 8, 8, seed=0).epoch()[0]
    assert batch.tokens.shape == (len(batch.ids), 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_is_one_line(cuts, workers):
    def encode(text, utterance):
        raise UserError(f"utterance {utterance}: no such token")

    data = CtcDataset(cuts, FBANK, encode, 8, 8, seed=0).epoch()
    with pytest.raises(UserError, match=r"^utterance [^\n]*: no such token$"):
        next(load_steps(data, range(len(data)), workers))


def test_short_cuts_are_counted(cuts, tmp_path):
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    kept, rejected = read_cuts(str(tmp_path / "cuts.jsonl.gz"), 2.0)
    assert (len(kept), len(rejected)) == (9, 5)
    assert kept.durations.min() >= 2.0 > rejected.durations.max()
    with pytest.raises(UserError, match="none of 14 cuts"):
        read_cuts(str(tmp_path / "cuts.jsonl.gz"), 60.0)


def test_empty_transcript(cuts):
    cut = cuts[0].drop_supervisions()
    with pytest.raises(UserError, match="has no transcript"):
        transcript(cut)


def test_all_tensors_of_a_batch_move(cuts):
    batch = pretrain(cuts, FBANK).batch(0)
    moved = batch.to(torch.device("meta"))
    for tensor in (moved.inputs, moved.lengths, moved.masked, *moved.labels.values()):
        assert tensor.is_meta
    assert moved.seconds == batch.seconds and moved.labels.keys() == batch.labels.keys()


CODES = FrontendConfig("codes", 8, [3], [2], label_rate=50, classes=400)


def test_crops_of_codes_and_their_labels_agree(cuts):
    data = pretrain(cuts, CODES)
    for number in range(data.plan.batches_per_epoch):
        batch = data.batch(number)
        assert batch.inputs.shape == (len(batch.inputs), batch.lengths[0]) and batch.inputs.size(1) <= 2.5 * 50
        assert batch.labels["kmeans"].size(1) == CODES.frames(batch.inputs.size(1))
        assert (batch.inputs.diff(dim=1) == 2).all()  # 10 ms labels, of which it reads every second
        assert torch.equal(batch.labels["kmeans"], batch.inputs[:, ::2])  # frames of 40 ms


def test_codes_of_whole_utterances_are_padded(cuts):
    batch = CtcDataset(cuts, CODES, encode, 8, 8, seed=0).batch(0)
    assert batch.inputs.dtype == torch.int64 and batch.inputs.size(1) % 32 == 0
    for row, length in zip(batch.inputs, batch.lengths):
        assert row[:length].tolist() == list(range(0, 2 * length, 2)) and not row[length:].any()


def test_what_codes_cannot_have(cuts):
    with pytest.raises(UserError, match="has 'kmeans' 98, but model.frontend.classes is 90"):
        load_input(cuts[0], replace(CODES, classes=90).reads)
    with pytest.raises(UserError, match="no 'tokens' labels: run stage 4"):
        load_input(cuts[0], replace(CODES, labels="tokens").reads)
    with pytest.raises(UserError, match="mixing.prob: labels cannot be mixed"):
        pretrain(cuts, CODES, mixing_prob=0.5)
    with pytest.raises(UserError, match="augment.speeds: stored labels have the speed that they have"):
        CtcDataset(cuts, CODES, encode, 8, 8, seed=0, augment=AugmentConfig([0.9, 1.0]))
    with pytest.raises(UserError, match="SpecAugment needs fbank"):
        CtcDataset(cuts, CODES, encode, 8, 8, seed=0, augment=AugmentConfig(num_feature_masks=1))
