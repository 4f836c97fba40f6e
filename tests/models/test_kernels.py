"""Operations of our own against torch's."""

import torch
from torch import nn

from mt4ssl.models.kernels import LayerNorm, layer_norm


def norms(dim):
    theirs, ours = nn.LayerNorm(dim), LayerNorm(dim)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_layer_norm_in_fp32_is_torchs():
    theirs, ours = norms(24)
    x = torch.randn(3, 7, 24) + 2.0
    results = []
    for norm in (theirs, ours):
        given = x.clone().requires_grad_()
        y = norm(given)
        y.square().sum().backward()
        results.append([y, given.grad, norm.weight.grad, norm.bias.grad])
    assert all(torch.equal(a, b) for a, b in zip(*results))
    assert torch.equal(layer_norm(x, (24,)), torch.nn.functional.layer_norm(x, (24,)))


def test_layer_norm_in_bf16_is_that_of_double_precision_rounded():
    theirs, ours = norms(256)
    x = (torch.randn(50, 256) * 3 + 20).bfloat16()  # far from zero: statistics in bf16 would be far off
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(x)
    assert y.dtype == torch.bfloat16
    theirs.double()
    expected = theirs(x.double())
    # Weight, bias and output are each off by at most 2 ** -9 of themselves.
    allowed = 2**-7 * ((expected - theirs.bias).abs() + theirs.bias.abs())
    assert ((y - expected).abs() <= allowed).all()
