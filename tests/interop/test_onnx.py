"""ONNX files give what the models gave: from waveforms, in batches of any size, padded or not."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from mt4ssl.data.features import make_extractor
from mt4ssl.errors import UserError
from mt4ssl.interop.onnx import Fbank, export_onnx
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

SIZES = dict(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=6, pos_conv_depth=2, pos_conv_groups=4)
POST_NORM = EncoderConfig(**SIZES)
PRE_NORM = EncoderConfig(**SIZES, pos_conv_norm="weight", pre_norm=True)
LEAKY = EncoderConfig(**SIZES, pos_conv_norm="weight", padding_leaks=True)
CONFORMER = EncoderConfig(**SIZES, conv_kernel=7)
RELATIVE = EncoderConfig(**SIZES, conv_kernel=7, conv_norm="batch", positions="relative", padding_leaks=True)
ROTARY = EncoderConfig(**SIZES, conv_kernel=7, positions="rotary", pre_norm=True)
GATED = EncoderConfig(**SIZES, positions="gated", pos_conv_norm="weight")
ALIBI = EncoderConfig(**SIZES, positions="alibi")
FBANK = FrontendConfig("fbank", 24, [3, 3], [2, 2])
ARCHITECTURES = {
    "fbank": ModelConfig(FBANK, POST_NORM),
    "fbank_as_it_is": ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 1], normalise=False), PRE_NORM),
    "waveform": ModelConfig(FrontendConfig("waveform", 24), POST_NORM),
    "group_norm": ModelConfig(FrontendConfig("waveform", 24, norm="group"), PRE_NORM),
    "padding_leaks": ModelConfig(FrontendConfig("waveform", 24, norm="group", padding_leaks=True), LEAKY),
    "conformer": ModelConfig(FBANK, CONFORMER),
    "relative": ModelConfig(FrontendConfig("waveform", 24), RELATIVE),
    "rotary": ModelConfig(FBANK, ROTARY),
    "gated": ModelConfig(FrontendConfig("waveform", 24), GATED),
    "alibi": ModelConfig(FBANK, ALIBI),
}
BATCHES = [[16000, 8000], [5003], [801, 24000, 12345], [7000, 7000, 7000, 7000]]  # samples; the first is the example's


@pytest.fixture(params=ARCHITECTURES)
def architecture(request) -> ModelConfig:
    torch.manual_seed(0)
    return ARCHITECTURES[request.param]


def speech(lengths: list[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randn(length, generator=generator) * 0.1 for length in lengths]


def fbank(waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
    extractor = make_extractor("fbank")
    return [torch.from_numpy(extractor.extract(waveform.numpy()[None], 16000)) for waveform in waveforms]


def check_outputs(model, architecture, path, names):
    """The outputs of ONNX and of torch are the same, wherever an utterance is."""
    export_onnx(model, architecture, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == names
    for lengths in BATCHES:
        waveforms = speech(lengths)
        batch = {"waveforms": pad_sequence(waveforms, batch_first=True).numpy(), "lengths": np.array(lengths)}
        ours, our_lengths = session.run(None, batch)
        inputs = fbank(waveforms) if architecture.frontend.type == "fbank" else waveforms
        with torch.inference_mode():
            theirs, their_lengths = model(
                pad_sequence(inputs, batch_first=True), torch.tensor([len(x) for x in inputs])
            )
        theirs = theirs[:, None] if isinstance(model, CtcModel) else torch.stack(theirs, 1)
        ours = ours.reshape(theirs.shape)
        np.testing.assert_array_equal(our_lengths, their_lengths)
        for our, their, length in zip(ours, theirs.numpy(), our_lengths):
            np.testing.assert_allclose(our[:, :length], their[:, :length], rtol=0, atol=1e-4)


@pytest.mark.parametrize("slots", [1, 2])
def test_ctc(architecture, slots, tmp_path):
    model = CtcModel(architecture, CtcConfig(slots=slots), 7).eval()
    torch.nn.init.normal_(model.head.weight, std=0.5)  # log-probs far from uniform
    check_outputs(model, architecture, tmp_path / "model.onnx", ["log_probs", "log_probs_lengths"])


def test_encoder(architecture, tmp_path):
    model = SpeechEncoder(architecture).eval()
    check_outputs(model, architecture, tmp_path / "model.onnx", ["hidden", "hidden_lengths"])


def test_fbank_is_the_extractors():
    waveforms = speech([200, 279, 280, 400, 16000, 16079, 16080, 12345])
    waveforms[4] += 0.5  # a DC offset
    waveforms[5][4000:] = 0.0  # down to the floor
    expected = fbank(waveforms)
    batch = pad_sequence(waveforms, batch_first=True, padding_value=9.0)  # what is in the padding does not matter
    features, lengths = Fbank()(batch, torch.tensor([len(waveform) for waveform in waveforms]))
    assert lengths.tolist() == [len(x) for x in expected]
    torch.testing.assert_close(features, pad_sequence(expected, batch_first=True), rtol=0, atol=1e-3)


def test_exporting_is_quiet(tmp_path, capfd, recwarn):
    export_onnx(SpeechEncoder(ARCHITECTURES["fbank"]), ARCHITECTURES["fbank"], tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (*capfd.readouterr(), len(recwarn)) == ("", "", 0)


def test_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="needs onnx: run tools/setup.sh"):
        export_onnx(SpeechEncoder(ARCHITECTURES["fbank"]), ARCHITECTURES["fbank"], tmp_path / "model.onnx")
