"""Conformer layers against transformers', and in an encoder: padding, gradients, what training leaves alone."""

import copy

import pytest
import torch
from transformers import Wav2Vec2ConformerConfig
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoderLayer

from mt4ssl.models.conformer import ConvolutionModule
from mt4ssl.models.encoder import ConformerLayer, EncoderConfig, Transformer
from mt4ssl.models.kernels import convolve_channels

SIZES = dict(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4)
CONFORMER = dict(**SIZES, conv_kernel=7)
# transformers' parts of a layer -> ours; queries, keys and values are one matrix here.
PARTS = {
    "ffn1_layer_norm": "first_ffn.0",
    "ffn1.intermediate_dense": "first_ffn.1",
    "ffn1.output_dense": "first_ffn.4",
    "self_attn_layer_norm": "attention_norm",
    "self_attn.linear_out": "out",
    "conv_module.layer_norm": "convolution.input_norm",
    "conv_module.batch_norm": "convolution.norm",
    "ffn2_layer_norm": "ffn_norm",
    "ffn2.intermediate_dense": "fc1",
    "ffn2.output_dense": "fc2",
    "final_layer_norm": "final_norm",
}


def test_layer_equals_transformers():
    config = Wav2Vec2ConformerConfig(
        hidden_size=32, num_attention_heads=4, intermediate_size=64, conv_depthwise_kernel_size=7, hidden_act="swish",
        position_embeddings_type=None, attn_implementation="eager",
    )  # fmt: skip
    theirs = Wav2Vec2ConformerEncoderLayer(config).eval()
    norm = theirs.conv_module.batch_norm
    for vector in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        vector.uniform_(0.5, 1.5)
    ours = ConformerLayer(EncoderConfig(**CONFORMER, conv_norm="batch")).eval()
    for their_part, our_part in PARTS.items():
        ours.get_submodule(our_part).load_state_dict(theirs.get_submodule(their_part).state_dict())
    linears = [getattr(theirs.self_attn, f"linear_{part}") for part in "qkv"]
    ours.qkv.weight.data = torch.cat([linear.weight.data for linear in linears])
    ours.qkv.bias.data = torch.cat([linear.bias.data for linear in linears])
    ours.convolution.pointwise1.weight.data = theirs.conv_module.pointwise_conv1.weight.data[..., 0]
    ours.convolution.depthwise.weight.data = theirs.conv_module.depthwise_conv.weight.data
    ours.convolution.pointwise2.weight.data = theirs.conv_module.pointwise_conv2.weight.data[..., 0]
    x = torch.randn(2, 20, 32)
    output, result = ours(x, None)
    torch.testing.assert_close(output, theirs(x), rtol=1e-4, atol=1e-5)
    # The layer result is what the second feed-forward network gives before it is halved.
    seen = []
    theirs.ffn2.register_forward_hook(lambda module, inputs, output: seen.append(output))
    theirs(x)
    torch.testing.assert_close(result, seen[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 15, 31])
def test_depthwise_convolution_equals_torch(kernel):
    conv = torch.nn.Conv1d(12, 12, kernel, padding=kernel // 2, groups=12)
    x = torch.randn(3, 20, 12, requires_grad=True)
    ours, theirs = convolve_channels(conv, x), conv(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
    ends = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, [x, *conv.parameters()], ends) for y in (ours, theirs))):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("positions", ["conv", "gated", "alibi", "relative", "rotary", "none"])
def test_padding_changes_nothing(norm, positions):
    encoder = Transformer(EncoderConfig(**CONFORMER, conv_norm=norm, positions=positions)).eval()
    x = torch.randn(1, 30, 32)
    alone = encoder(x)
    padded = torch.cat([x, torch.full((1, 10, 32), 9.0)], dim=1)
    together = encoder(padded, torch.arange(40)[None] >= 30)
    for shorts, longs in zip(alone, together):
        for short, long in zip(shorts, longs):
            torch.testing.assert_close(long[:, :30], short, rtol=1e-4, atol=1e-5)


def test_padding_leaks_where_it_is_asked_to():
    encoder = Transformer(EncoderConfig(**CONFORMER, positions="none", padding_leaks=True)).eval()
    x = torch.randn(1, 40, 32)
    padding = torch.arange(40)[None] >= 30
    long = encoder(x, padding)[0][-1][:, :30]
    assert not torch.allclose(long, encoder(x[:, :30])[0][-1], atol=1e-4)
    # What was in the padding does not matter: it is zero before the first layer.
    torch.testing.assert_close(encoder(x + 5.0 * padding[..., None], padding)[0][-1][:, :30], long)


@pytest.mark.parametrize(
    "norm, positions", [("layer", "gated"), ("layer", "alibi"), ("batch", "relative"), ("layer", "rotary")]
)
def test_gradients_reach_every_parameter(norm, positions):
    encoder = Transformer(EncoderConfig(**CONFORMER, conv_norm=norm, positions=positions, layerdrop=0.0))
    outputs, _ = encoder(torch.randn(2, 30, 32), torch.arange(30)[None] >= torch.tensor([[30], [20]]))
    outputs[-1].square().mul(torch.randn(32)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_convolution_sees_as_many_frames_as_its_kernel():
    module = ConvolutionModule(8, 7, "layer")
    x = torch.randn(1, 30, 8, requires_grad=True)
    module(x, None)[0, 15].sum().backward()
    assert x.grad[0].abs().sum(1).nonzero()[:, 0].tolist() == list(range(12, 19))


def test_statistics_of_batch_norm_stay():
    still = dict(dropout=0.0, attention_dropout=0.0, layerdrop=0.0)
    encoder = Transformer(EncoderConfig(**CONFORMER, **still, conv_norm="batch"))
    norm = encoder.layers[0].convolution.norm
    norm.running_mean.normal_()
    before = copy.deepcopy(norm.state_dict())
    x = torch.randn(2, 30, 32)
    torch.testing.assert_close(encoder.train()(x)[0][-1], encoder.eval()(x)[0][-1])
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_transformer_layers_have_nothing_new():
    names = {name.split(".", 1)[0] for name in Transformer(EncoderConfig(**SIZES)).layers[0].state_dict()}
    assert names == {"qkv", "out", "attention_norm", "fc1", "fc2", "final_norm"}


def test_kernel_must_be_odd():
    with pytest.raises(ValueError, match="encoder.conv_kernel 16 must be an odd number"):
        EncoderConfig(conv_kernel=16)


def test_sinusoids_come_in_pairs():
    with pytest.raises(ValueError, match="positions rotary needs an even encoder.dim / heads"):
        EncoderConfig(dim=80, heads=16, positions="rotary")
