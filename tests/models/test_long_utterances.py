"""Long utterances in windows, against the same utterances whole."""

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording
from lhotse.supervision import SupervisionSegment

from mt4ssl.clustering.features import AllLayers
from mt4ssl.data.cuts import Cuts
from mt4ssl.inference.folder import save_encoder, save_recogniser
from mt4ssl.inference.log_probs import log_probs
from mt4ssl.inference.models import Encoder, Recogniser
from mt4ssl.models import long_utterances
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.long_utterances import cut_windows
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

SECONDS = 11.3
TINY = dict(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=11, pos_conv_depth=1, pos_conv_groups=4)
MODELS = {
    "fbank": ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 2]), EncoderConfig(**TINY)),
    "waveform": ModelConfig(FrontendConfig("waveform", 24), EncoderConfig(**TINY, pos_conv_norm="weight")),
    "group norm": ModelConfig(FrontendConfig("waveform", 24, norm="group"), EncoderConfig(**TINY, pre_norm=True)),
}


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of three seconds, half a second of them on both sides context."""
    monkeypatch.setattr(long_utterances, "WINDOW", 3.0)
    monkeypatch.setattr(long_utterances, "CONTEXT", 0.5)
    monkeypatch.setattr(long_utterances, "PIECE", 1000)


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    """Noise that grows louder and louder, and is not around zero: windows by themselves would have other statistics."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    size = round(SECONDS * 16000)
    soundfile.write(path, np.random.default_rng(0).normal(size=size) * np.geomspace(0.001, 0.1, size) + 0.05, 16000)
    return path


def random_model(kind, architecture, *arguments):
    """A model whose biases and norms are random too."""
    torch.manual_seed(0)
    model = kind(architecture, *arguments).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("size", [47_999, 48_000, 48_319, 48_320, 48_321, 80_000, 100_000, 1_234_567])
@pytest.mark.parametrize("name", MODELS)
def test_every_frame_comes_once_and_from_a_window_that_sees_around_it(short_windows, name, size):
    frontend = MODELS[name].frontend
    hop, size = (4, size // 160) if name == "fbank" else (320, size)
    context = round(0.5 * frontend.reads.rate / hop)
    windows = cut_windows(size, frontend)
    assert windows[0].begin == 0 and windows[-1].end == size
    assert len(windows) == 1 or size >= 3 * frontend.reads.rate + hop
    taken = []
    for window in windows:
        assert window.begin % hop == 0 and window.frames == frontend.frames(window.end - window.begin)
        assert window.end - window.begin < 3 * frontend.reads.rate + hop
        kept = range(window.frames)[window.kept]
        assert kept.start >= context - 1 or window.begin == 0
        assert window.frames - kept.stop >= context - 1 or window.end == size
        taken += [window.begin // hop + frame for frame in kept]
    assert taken == list(range(frontend.frames(size)))


@pytest.mark.parametrize("name", MODELS)
def test_what_attention_reads_is_the_same_and_layers_are_nearly(short_windows, monkeypatch, wav, tmp_path, name):
    model = random_model(SpeechEncoder, MODELS[name])
    save_encoder(tmp_path / "model", model, torch.zeros(32), MODELS[name])
    features, cut = AllLayers(tmp_path / "model"), Recording.from_file(wav).to_cut()
    seen = []
    hook = features.encoder.encoder.layers[0].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].size(1))
    )
    windowed = features(cut)
    assert len(seen) == 6 and max(seen) <= 3 / MODELS[name].frontend.frame_shift
    hook.remove()
    layers = Encoder(tmp_path / "model").layers(wav)

    monkeypatch.setattr(long_utterances, "WINDOW", 60.0)
    whole = features(cut)
    frontend = MODELS[name].frontend
    assert windowed.shape == whole.shape == (frontend.frames(round(SECONDS * frontend.reads.rate)), 3, 32)
    np.testing.assert_allclose(windowed[:, 0], whole[:, 0], atol=2e-4)
    for layer in (1, 2):
        np.testing.assert_allclose(layers[layer - 1], windowed[:, layer], atol=1e-5)
        difference = np.abs(windowed[:, layer] - whole[:, layer])
        assert 0 < difference.mean() < 0.1 * whole[:, layer].std()


def test_a_recogniser_and_stage_9_say_nearly_what_they_say_of_the_whole(short_windows, monkeypatch, wav, tmp_path):
    (tmp_path / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nB 3\nC 4\n", encoding="utf-8")
    architecture, ctc = MODELS["fbank"], CtcConfig(slots=2)
    model = random_model(CtcModel, architecture, ctc, 5)
    torch.nn.init.normal_(model.head.weight)
    save_recogniser(tmp_path / "ctc", model, architecture, ctc, tmp_path)
    recogniser = Recogniser(tmp_path / "ctc")
    short = tmp_path / "short.wav"
    soundfile.write(short, soundfile.read(wav)[0][:16000], 16000)
    made = [Recording.from_file(path).to_cut() for path in (wav, short)]
    for cut in made:
        cut.supervisions = [SupervisionSegment(cut.id, cut.recording_id, 0, cut.duration, text="A B")]
    CutSet.from_cuts(made).to_file(tmp_path / "cuts.jsonl")
    cuts = Cuts.read(tmp_path / "cuts.jsonl")
    monkeypatch.setattr("mt4ssl.inference.log_probs.BATCH_SECONDS", 3.0)
    found = recogniser.log_probs(wav)
    emitted = dict(log_probs(model, architecture, cuts, 0, "test"))
    assert emitted["short"].shape == (50, 5)
    np.testing.assert_allclose(emitted["long"], found, atol=1e-5)

    monkeypatch.setattr(long_utterances, "WINDOW", 60.0)
    whole = recogniser.log_probs(wav)
    assert found.shape == whole.shape == (2 * 283, 5)
    assert np.abs(found - whole).mean() < 0.1
    assert (found.argmax(1) == whole.argmax(1)).mean() > 0.95
