"""The encoder against torch's own Transformer layer, and its behaviour under padding and LayerDrop."""

import pytest
import torch
import torch.nn.functional as F

from mt4ssl.models.encoder import EncoderConfig, EncoderLayer, Transformer

TINY = dict(layers=3, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4)


def test_layer_equals_torch():
    ours = EncoderLayer(EncoderConfig(**TINY)).eval()
    theirs = torch.nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True).eval()
    theirs.self_attn.in_proj_weight.data = ours.qkv.weight.data
    theirs.self_attn.in_proj_bias.data = ours.qkv.bias.data.normal_()
    theirs.self_attn.out_proj.load_state_dict(ours.out.state_dict())
    theirs.linear1.load_state_dict(ours.fc1.state_dict())
    theirs.linear2.load_state_dict(ours.fc2.state_dict())
    x = torch.randn(2, 20, 32)
    key_mask = torch.ones(2, 1, 1, 20, dtype=torch.bool)
    key_mask[1, ..., 12:] = False
    output, result = ours(x, key_mask)
    expected = theirs(x, src_key_padding_mask=~key_mask[:, 0, 0])
    torch.testing.assert_close(output[0], expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output[1, :12], expected[1, :12], rtol=1e-4, atol=1e-5)
    # The layer result is the FFN's output before the residual: what is left when the input of the FFN is taken away.
    inner = F.layer_norm(x + ours.attend(x, key_mask), (32,))
    torch.testing.assert_close(ours.final_norm(inner + result), output, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing():
    encoder = Transformer(EncoderConfig(**TINY)).eval()
    x = torch.randn(1, 30, 32)
    alone = encoder(x)[0]
    padded = torch.cat([x, torch.full((1, 10, 32), 9.0)], dim=1)
    together = encoder(padded, torch.arange(40)[None] >= 30)[0]
    for short, long in zip(alone, together):
        torch.testing.assert_close(long[:, :30], short, rtol=1e-4, atol=1e-5)


def test_last_layer_stops_early():
    encoder = Transformer(EncoderConfig(**TINY)).eval()
    x = torch.randn(1, 10, 32)
    outputs, results = encoder(x, last_layer=2)
    assert len(outputs) == len(results) == 2
    torch.testing.assert_close(outputs[1], encoder(x)[0][1])


def test_layerdrop_skips_in_training_only():
    config = EncoderConfig(**TINY, layerdrop=1 - 1e-9, dropout=0.0, attention_dropout=0.0)
    encoder = Transformer(config)
    x = torch.randn(1, 10, 32)
    outputs = encoder(x)[0]
    assert outputs[0] is outputs[2]
    assert not torch.equal(*encoder.eval()(x)[0][:2])


@pytest.mark.parametrize("width, depth", [(31, 1), (95, 5), (128, 1)])
def test_positional_convolution_keeps_the_length(width, depth):
    config = EncoderConfig(**{**TINY, "pos_conv_width": width, "pos_conv_depth": depth})
    assert Transformer(config)(torch.randn(1, 17, 32))[0][0].shape == (1, 17, 32)


def test_heads_must_divide_dim():
    with pytest.raises(ValueError, match="encoder.dim 30 must be a multiple"):
        EncoderConfig(dim=30, heads=4)
