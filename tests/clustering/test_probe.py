"""The linear probe against sklearn, PNMI and effective rank by other means, and the verb on tones."""

import json
import sys

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.supervision import AlignmentItem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import StandardScaler
from tones import tone_corpus

from mt4ssl.bin.probe import main
from mt4ssl.clustering.features import AllLayers, LayerFeatures
from mt4ssl.clustering.probe import PENALTY, cluster_pnmi, effective_rank, held_out, probe_accuracy, train_probe
from mt4ssl.errors import UserError
from mt4ssl.inference.folder import save_encoder
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.scoring.report import LAYER_MEASURES

TINY = dict(layers=3, dim=32, ffn_dim=64, heads=4)
CONV = dict(pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4)
MODELS = {
    "fbank": ModelConfig(FrontendConfig("fbank", 32, [3, 3], [2, 2]), EncoderConfig(**TINY, positions="none")),
    "waveform": ModelConfig(FrontendConfig("waveform", 24), EncoderConfig(**TINY, **CONV, pre_norm=True)),
}


@pytest.fixture(scope="module")
def blobs():
    """Features of phones that overlap, on axes of very different scales, and frames to test on."""
    rng = np.random.default_rng(0)
    phones = rng.choice(list("abcdefgh"), 2000, p=[0.3, 0.2, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05]).astype(object)
    centres = rng.normal(size=(8, 20))[np.unique(phones, return_inverse=True)[1]]
    x = (centres + 2 * rng.normal(size=(2000, 20))) * np.geomspace(0.01, 100, 20) + 5
    return x.astype(np.float32), phones, rng.random(2000) < 0.4


def test_probe_is_sklearn_s(blobs):
    x, phones, test = blobs
    scaler = StandardScaler().fit(x[~test])
    scaled = scaler.transform(x).astype(np.float32)
    theirs = LogisticRegression(C=1 / (PENALTY * (~test).sum()), max_iter=5000, tol=1e-7)
    theirs.fit(scaled[~test], phones[~test].astype(str))
    expected = theirs.score(scaled[test], phones[test].astype(str))
    assert 0.5 < expected < 0.95
    assert probe_accuracy(x, phones, test) == pytest.approx(expected, abs=2 / test.sum())
    classes = torch.from_numpy(np.unique(phones[~test], return_inverse=True)[1])
    ours = train_probe(torch.from_numpy(scaled[~test]), classes, 8)
    np.testing.assert_allclose(ours.weight.detach(), theirs.coef_, atol=0.01)


def test_a_phone_of_held_out_speakers_alone_is_never_found(blobs):
    x, phones, test = blobs
    other = phones.copy()
    other[test & (phones == "a")] = "new"
    wrong = probe_accuracy(x, other, test)
    assert wrong < probe_accuracy(x, phones, test) - 0.1


def test_speakers_are_held_out_as_a_whole():
    speakers = np.array(["b", "a", "c", "b", "d", "a"])
    assert held_out(speakers).tolist() == [True, False, False, True, True, False]
    assert held_out(np.array(["a", "a"])) is None


def test_pnmi_of_clusters_that_are_known():
    """A hundred points far apart, so that each is a cluster."""
    rng = np.random.default_rng(0)
    points = rng.integers(100, size=4000)
    x = (rng.normal(size=(100, 6)) * 10).astype(np.float32)[points]
    assert cluster_pnmi(x, np.array(list("abcde"))[points % 5]) == pytest.approx(1.0)
    phones = rng.choice(list("abcde"), 4000)
    p = np.unique(phones, return_counts=True)[1] / 4000
    expected = mutual_info_score(phones, points) / -(p * np.log(p)).sum()
    assert 0 < expected < 0.2 and cluster_pnmi(x, phones) == pytest.approx(expected)


def test_effective_rank_is_that_of_the_singular_values():
    x = np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32) * np.geomspace(1, 1e-3, 12) + 7
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    p = values / values.sum()
    assert effective_rank(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)
    square = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], np.float32)
    assert effective_rank(square) == pytest.approx(2.0)
    assert effective_rank(square + np.float32([9, 9, 9])) == pytest.approx(2.0)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Models with random weights, and tones said by four speakers: cuts with alignments, cuts with wrong ones."""
    folder = tmp_path_factory.mktemp("some tones")
    torch.manual_seed(0)
    for name, architecture in MODELS.items():
        save_encoder(folder / name, SpeechEncoder(architecture), torch.zeros(32), architecture)
    rng = np.random.default_rng(0)
    source = list(CutSet.from_file(tone_corpus(folder).cuts))
    for name in ("right", "wrong"):
        cuts = []
        for number, cut in enumerate(source):
            words = cut.supervisions[0].text.split()
            said = words if name == "right" else rng.choice(list("ABC"), len(words))
            items = [AlignmentItem(str(word), place * 0.3, 0.3) for place, word in enumerate(said)]
            supervision = cut.supervisions[0].with_alignment("phone", items)
            supervision.speaker = f"s{number % 4}"
            other = cut.with_id(cut.id)
            other.supervisions = [supervision]
            cuts.append(other)
        CutSet.from_cuts(cuts).to_file(folder / f"{name}.jsonl.gz")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_all_layers_are_the_single_ones(tones, name):
    cut = next(iter(CutSet.from_file(tones / "right.jsonl.gz")))
    layers = AllLayers(tones / name)(cut)
    assert layers.shape[1:] == (4, 32)
    for layer in range(4):
        np.testing.assert_allclose(layers[:, layer], LayerFeatures(tones / name, layer)(cut), atol=1e-5)


def probe(monkeypatch, tones, cuts, out):
    arguments = ["--model", tones / "fbank", "--cuts", tones / cuts, "--out", out]
    monkeypatch.setattr(sys, "argv", ["probe", *map(str, arguments)])
    main()


def test_tones_are_told_apart_and_wrong_phones_are_not(tones, tmp_path, monkeypatch, capsys):
    results = {}
    for name in ("right", "wrong"):
        probe(monkeypatch, tones, f"{name}.jsonl.gz", tmp_path / name)
        results[name] = json.loads((tmp_path / name / "probe.json").read_text())
        assert (tmp_path / name / "layers.png").read_bytes().startswith(b"\x89PNG")
    right, wrong = results["right"], results["wrong"]
    assert (right["phones"], right["speakers"]) == (4, 4)  # with sil: the last frame goes beyond the last tone
    assert [values["layer"] for values in right["layers"]] == [0, 1, 2, 3]
    for values, others in zip(right["layers"], wrong["layers"]):
        assert values["accuracy"] > 0.7 and others["accuracy"] < 0.5  # frames between two tones are half of each
        assert values["pnmi"] > others["pnmi"] + 0.1
        for measure in ("abx_within", "abx_across"):
            assert values[measure] < 0.2 and 0.3 < others[measure] < 0.7
        assert 1 < values["effective_rank"] == others["effective_rank"] < 32
    last = capsys.readouterr().out.splitlines()[-2].split()
    assert last == ["3", *(f"{wrong['layers'][3][key]:.4g}" for key in LAYER_MEASURES)]


def test_one_speaker_leaves_the_probe_out(tones, tmp_path, monkeypatch):
    cuts = list(CutSet.from_file(tones / "right.jsonl.gz"))
    for cut in cuts:
        cut.supervisions[0].speaker = None
    CutSet.from_cuts(cuts).to_file(tones / "nobody.jsonl.gz")
    probe(monkeypatch, tones, "nobody.jsonl.gz", tmp_path)
    layers = json.loads((tmp_path / "probe.json").read_text())["layers"]
    assert {values["accuracy"] for values in layers} == {None} and layers[0]["pnmi"] > 0.4
    assert {values["abx_across"] for values in layers} == {None} and layers[0]["abx_within"] < 0.2


def test_cuts_without_alignments(tones, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="cut utt.* has no 'phone' alignment"):
        probe(monkeypatch, tones, "cuts.jsonl.gz", tmp_path)
