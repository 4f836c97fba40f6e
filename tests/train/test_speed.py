import pytest
import torch
from torch import nn

from mt4ssl.train.speed import count_flops


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("input_needs_gradient", [False, True])
def test_flops_of_a_convolution(groups: int, input_needs_gradient: bool) -> None:
    conv = nn.Conv1d(16, 24, 5, groups=groups)
    inputs = torch.randn(2, 16, 104, requires_grad=input_needs_gradient)
    output, flops = count_flops(lambda: conv(inputs))
    forward = 2 * 2 * 100 * 24 * (16 // groups) * 5  # two a product; batch, frames, channels out and in, kernel
    assert flops == forward
    assert count_flops(lambda: output.sum().backward())[1] == forward * (1 + input_needs_gradient)
