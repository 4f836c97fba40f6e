"""Buckets of distances and gates against WavLM of transformers, slopes of ALiBi against BLOOM of transformers."""

import pytest
import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from mt4ssl.models.encoder import EncoderConfig, Transformer
from mt4ssl.models.positions import DistanceBias, LinearBias, bucket


@pytest.fixture
def theirs():
    torch.manual_seed(0)
    return WavLMAttention(32, 4)


def test_buckets_are_theirs(theirs):
    distances = torch.arange(-3000, 3001)
    torch.testing.assert_close(bucket(distances), theirs._relative_positions_bucket(distances), rtol=0, atol=0)
    assert bucket(torch.tensor([0, -79, 1, 3000])).tolist() == [0, 79, 161, 319]


def test_bias_is_theirs(theirs):
    ours = DistanceBias(4)
    ours.embedding.load_state_dict(theirs.rel_attn_embed.state_dict())
    torch.testing.assert_close(ours(torch.arange(900)[None])[0], theirs.compute_bias(900, 900), rtol=0, atol=0)


def test_a_frame_takes_its_gate_s_share_of_the_bias():
    """Scores alone: queries and keys are zero, so that attention weights are the softmax of the gated bias."""
    encoder = Transformer(EncoderConfig(layers=1, dim=8, ffn_dim=8, heads=1, positions="gated", pos_conv_groups=1))
    layer = encoder.layers[0]
    torch.nn.init.zeros_(layer.qkv.weight[:16])
    torch.nn.init.eye_(layer.qkv.weight[16:])
    torch.nn.init.eye_(layer.out.weight)
    torch.nn.init.zeros_(layer.gate.projection.weight)  # both gates are a half: 0.5 * (0.5 * 3 - 1) + 2
    torch.nn.init.constant_(layer.gate.scale, 3.0)
    x, bias = torch.randn(1, 5, 8), torch.randn(1, 1, 5, 5)
    expected = (2.25 * bias[0]).softmax(2) @ x
    torch.testing.assert_close(layer.eval().attend(x, None, bias), expected)


@pytest.mark.parametrize("heads", [1, 4, 6, 12, 16])
def test_scores_fall_with_the_slopes_of_alibi(heads):
    bias = LinearBias(heads)
    torch.nn.init.uniform_(bias.scale, -0.5, 2.0)
    theirs = build_alibi_tensor(torch.ones(1, 9), heads, torch.float32)[:, 0]  # slope x number of the key
    numbers = torch.tensor([[0, 1, 2, 5, 8], [3, 4, 5, 6, 7]])
    ours = bias(numbers)
    assert ours.shape == (2, heads, 5, 5)
    for row, taken in enumerate(numbers.tolist()):
        for query, number in enumerate(taken):
            distances = [abs(number - other) for other in taken]
            expected = -theirs[:, distances] * bias.scale.clamp(min=0)[:, None]
            torch.testing.assert_close(ours[row, :, query], expected)
