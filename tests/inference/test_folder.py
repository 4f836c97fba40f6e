"""Exported folders open without a recipe and give what the model gave; errors are clear."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mt4ssl.decode.greedy import greedy_search
from mt4ssl.errors import UserError
from mt4ssl.inference.folder import check_replaceable, save_encoder, save_recogniser
from mt4ssl.inference.models import Encoder, Recogniser, audio_input
from mt4ssl.interop.huggingface import export_ctc
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

ENCODER = EncoderConfig(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4)
FRONTENDS = [FrontendConfig("fbank", 24, [3, 3], [2, 2]), FrontendConfig("waveform", 24)]


@pytest.fixture
def wav(tmp_path) -> Path:
    path = tmp_path / "some speech.wav"
    soundfile.write(path, np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    return path


@pytest.mark.parametrize("frontend", FRONTENDS, ids=lambda config: config.type)
def test_encoder(frontend, wav, tmp_path):
    architecture = ModelConfig(frontend, ENCODER)
    model = SpeechEncoder(architecture).eval()
    save_encoder(tmp_path / "folder", model, torch.zeros(32), architecture)
    layers = Encoder(tmp_path / "folder").layers(wav)
    expected, _ = model(*audio_input(wav, frontend))
    for ours, theirs in zip(layers, expected):
        torch.testing.assert_close(ours, theirs[0], rtol=0, atol=0)


def test_recogniser(wav, tmp_path):
    (tmp_path / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nB 3\n#0 4\n", encoding="utf-8")
    tokens = Tokens(tmp_path)
    architecture = ModelConfig(FRONTENDS[0], ENCODER)
    model = CtcModel(architecture, CtcConfig(slots=2), len(tokens)).eval()
    save_recogniser(tmp_path / "folder", model, architecture, CtcConfig(slots=2), tmp_path)
    log_probs, _ = model(*audio_input(wav, FRONTENDS[0]))
    expected = tokens.decode(greedy_search(log_probs[0].detach().numpy()))
    assert Recogniser(tmp_path / "folder").transcribe(wav) == expected
    with pytest.raises(UserError, match="kind 'ctc', not 'encoder'"):
        Encoder(tmp_path / "folder")


def test_a_model_of_phones_needs_a_graph_for_words(wav, tmp_path):
    (tmp_path / "tokens.txt").write_text("<blk> 0\nAE 1\nK 2\nT 3\n#0 4\n")
    (tmp_path / "pronunciations.txt").write_text("cat K AE T\n")
    architecture = ModelConfig(FRONTENDS[0], ENCODER)
    torch.manual_seed(0)
    model = CtcModel(architecture, CtcConfig(slots=2), 4).eval()
    save_recogniser(tmp_path / "folder", model, architecture, CtcConfig(slots=2), tmp_path)
    recogniser = Recogniser(tmp_path / "folder")
    assert recogniser.phones(wav) == [recogniser.tokens.symbols[i] for i in greedy_search(recogniser.log_probs(wav))]
    with pytest.raises(UserError, match="says phones: give it a lang dir"):
        recogniser.transcribe(wav)
    if find_spec("k2") is None:
        with pytest.raises(UserError, match="need k2 .*docs/k2.md"):
            Recogniser(tmp_path / "folder", tmp_path)
    with pytest.raises(UserError, match="tokens are phones"):
        export_ctc(model, ModelConfig(FRONTENDS[1], ENCODER), recogniser.tokens, tmp_path / "out")


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_file_that_k2_fails_at_is_named(wav, error):
    """k2 has an environment of its own as a rule: what it says, of memory that is short, is here in its place."""

    def search(log_probs):
        assert log_probs.shape == (25, 5)
        raise error("[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory\nframe #0")

    recogniser = Recogniser(Path(__file__).parent / "version_0.1/ctc")
    recogniser.search = search
    with pytest.raises(UserError, match=r"^k2 fails at .*some speech.wav \(\[enforce.* memory\): cut it") as caught:
        recogniser.transcribe(wav)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_something_else(tmp_path):
    architecture = ModelConfig(FRONTENDS[0], ENCODER)
    training, out = tmp_path / "training", tmp_path / "out"
    training.mkdir()
    (training / "config.yaml").write_text("train_cuts: a\n")
    with pytest.raises(UserError, match="is the folder of a training"):
        Encoder(training)
    with pytest.raises(UserError, match="already exists and is not an exported model: choose"):
        check_replaceable(training, out)
    with pytest.raises(UserError, match="already exists and is not an exported model: choose"):
        check_replaceable(training / "config.yaml", out)
    check_replaceable(out, training)
    save_encoder(out, SpeechEncoder(architecture), torch.zeros(32), architecture)
    check_replaceable(out, training)
    with pytest.raises(UserError, match="out would be replaced by what is made of it"):
        check_replaceable(out, training / "../out")
    (out / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"not an exported model alone \(thesis.tex\)"):
        check_replaceable(out, training)


def test_a_folder_of_transformers_that_was_not_made_here_is_not_replaced(tmp_path):
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="is not an exported model"):
        check_replaceable(tmp_path, tmp_path / "model")


def test_audio_that_does_not_fit(wav, tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.zeros(8000), 8000)
    with pytest.raises(UserError, match="8000 samples a second"):
        audio_input(tmp_path / "slow.wav", FRONTENDS[0])
    (tmp_path / "not.wav").write_bytes(b"no audio")
    with pytest.raises(UserError, match="cannot be read as audio"):
        audio_input(tmp_path / "not.wav", FRONTENDS[0])
    with pytest.raises(UserError, match="missing"):
        audio_input(tmp_path / "none.wav", FRONTENDS[0])


@pytest.mark.parametrize("frontend", FRONTENDS, ids=lambda config: config.type)
def test_audio_that_no_model_can_take_is_named(frontend, tmp_path):
    for size in (0, 1, 100, 139):
        soundfile.write(tmp_path / "short.wav", np.full(size, 0.1), 16000)
        with pytest.raises(UserError, match=f"short.wav lasts {size / 16000:g} s, too short for a frame"):
            audio_input(tmp_path / "short.wav", frontend)
    for value in (np.nan, np.inf):
        soundfile.write(tmp_path / "bad.wav", np.where(np.arange(16000) == 9000, value, 0.1), 16000, subtype="FLOAT")
        with pytest.raises(UserError, match=r"bad.wav has samples that are no numbers"):
            audio_input(tmp_path / "bad.wav", frontend)
