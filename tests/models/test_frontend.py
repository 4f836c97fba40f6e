"""Front-ends against transformers' feature encoder, and against themselves without padding."""

import pytest
import torch
from transformers import Speech2TextConfig, Wav2Vec2Config
from transformers.models.speech_to_text.modeling_speech_to_text import Conv1dSubsampler
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2FeatureEncoder

from mt4ssl.errors import UserError
from mt4ssl.models.frontend import FRONTENDS, FrontendConfig, normalise


def test_waveform_frontend_equals_transformers():
    config = FrontendConfig("waveform", dim=32)
    ours = FRONTENDS["waveform"](config)
    theirs = Wav2Vec2FeatureEncoder(
        Wav2Vec2Config(conv_dim=[32] * 7, feat_extract_norm="layer", conv_bias=False, feat_extract_activation="gelu")
    )
    for mine, other in zip(ours.layers, theirs.conv_layers):
        other.conv.weight.data = mine.conv.weight.data
        other.layer_norm.weight.data = mine.norm.weight.data.normal_()
        other.layer_norm.bias.data = mine.norm.bias.data.normal_()
    waveforms = torch.randn(2, 16000)
    expected = theirs(
        (waveforms - waveforms.mean(1, keepdim=True)) / waveforms.var(1, unbiased=False, keepdim=True).add(1e-5).sqrt()
    )
    frames, lengths = ours(waveforms, torch.tensor([16000, 16000]))
    torch.testing.assert_close(frames, expected.transpose(1, 2), rtol=1e-4, atol=1e-5)
    assert lengths.tolist() == [frames.size(1)] * 2 == [config.frames(16000)] * 2


@pytest.mark.parametrize("size", [97, 98, 99, 100])
def test_gated_fbank_frontend_equals_transformers(size):
    ours = FRONTENDS["fbank"](FrontendConfig("fbank", 16, [5, 5], [2, 2], normalise=False, activation="glu"))
    theirs = Conv1dSubsampler(
        Speech2TextConfig(conv_channels=32, d_model=16, conv_kernel_sizes=(5, 5), input_feat_per_channel=80)
    )
    theirs.conv_layers.load_state_dict(ours.layers.state_dict())
    fbank = torch.randn(2, size, 80)
    frames, lengths = ours(fbank, torch.tensor([size, size]))
    torch.testing.assert_close(frames, theirs(fbank))
    assert lengths.tolist() == [frames.size(1)] * 2


def test_waveform_frontend_has_no_gates():
    with pytest.raises(ValueError, match="glu is for fbank, not for waveform"):
        FrontendConfig("waveform", activation="glu")


@pytest.mark.parametrize("strides, shift", [([2, 2], 0.04), ([2, 1], 0.02)])
@pytest.mark.parametrize("size", [97, 98, 99, 100])
def test_fbank_frames(strides, shift, size):
    config = FrontendConfig("fbank", dim=16, kernels=[3, 3], strides=strides)
    frames, lengths = FRONTENDS["fbank"](config)(torch.randn(1, size, 80), torch.tensor([size]))
    assert frames.size(1) == lengths.item() == config.frames(size)
    assert config.frame_shift == shift


def test_padding_changes_nothing():
    frontend = FRONTENDS["fbank"](FrontendConfig("fbank", dim=16, kernels=[3, 3], strides=[2, 2]))
    short = torch.randn(1, 61, 80)
    padded = torch.cat([short, torch.full((1, 30, 80), 7.0)], dim=1)
    alone, length = frontend(short, torch.tensor([61]))
    together, lengths = frontend(torch.cat([padded, torch.randn(1, 91, 80)]), torch.tensor([61, 91]))
    torch.testing.assert_close(together[:1, : length.item()], alone)
    assert lengths.tolist() == [length.item(), 23]


def test_normalise_leaves_padding_out():
    x = torch.randn(2, 50, 3) * 5 + 2
    y = normalise(x, torch.tensor([50, 20]))
    torch.testing.assert_close(y[1, :20].mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(y[1, :20].var(0, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)
    assert y[1, 20:].abs().max() == 0


def test_kernels_and_strides_must_match():
    with pytest.raises(ValueError, match="7 kernels but 2 strides"):
        FrontendConfig("fbank", strides=[2, 2])


def test_codes_are_embeddings():
    config = FrontendConfig("codes", dim=16, kernels=[], strides=[], label_rate=12.5, classes=7)
    frontend = FRONTENDS["codes"](config)
    labels = torch.tensor([[3, 0, 6, 6]])
    frames, lengths = frontend(labels, None)
    torch.testing.assert_close(frames[0], frontend.embedding.weight[labels[0]])
    assert lengths is None and config.frames(4) == 4 and config.frame_shift == 0.08


@pytest.mark.parametrize("kernels, strides", [([], []), ([3], [2]), ([5, 3], [2, 2])])
def test_padding_of_codes_changes_nothing(kernels, strides):
    config = FrontendConfig("codes", dim=16, kernels=kernels, strides=strides, label_rate=100, classes=7)
    frontend = FRONTENDS["codes"](config)
    long, short = torch.randint(7, (2, 1, 41))
    alone, _ = frontend(short[:, :22], None)
    together, lengths = frontend(torch.cat([long, short]), torch.tensor([41, 22]))
    assert lengths.tolist() == [config.frames(41), config.frames(22)]
    torch.testing.assert_close(together[1:, : lengths[1]], alone)


def test_codes_are_no_audio():
    with pytest.raises(UserError, match="reads labels of cuts, not audio"):
        FRONTENDS["codes"](FrontendConfig("codes", 16, [], []))(torch.randn(1, 160), None)
    with pytest.raises(ValueError, match="frontend fbank needs kernels and strides"):
        FrontendConfig("fbank", 16, [], [])
