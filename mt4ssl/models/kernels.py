"""Operations that torch has, written so that they are fast on a CPU, or on a GPU, or on both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dropout(x: Tensor, p: float) -> Tensor:
    """F.dropout, from 16 random bits an element: torch's own takes a quarter of a training step on CPU."""
    if x.is_cuda or p == 0.0:
        return F.dropout(x, p)
    count = -(-x.numel() // 4)
    bits = torch.empty(count, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(p * 2**16)
    kept = torch.ge(bits, dropped - 2**15, out=torch.empty_like(x, requires_grad=False))
    return x * kept.mul_(2**16 / (2**16 - dropped))


class Dropout(nn.Dropout):
    """nn.Dropout with the function above."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x


def layer_norm(
    x: Tensor, shape: tuple[int, ...], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """F.layer_norm, whose output has the precision of its input.

    Under autocast torch's own gives fp32 on a GPU: the operations up to the next matrix product, which all wait for
    memory, would read and write twice the bytes. Means and variances are in fp32 all the same.
    """
    if not torch.is_autocast_enabled(x.device.type):
        return F.layer_norm(x, shape, weight, bias, eps)
    weight, bias = (None if p is None else p.to(x.dtype) for p in (weight, bias))
    with torch.autocast(x.device.type, enabled=False):
        return F.layer_norm(x, shape, weight, bias, eps)


class LayerNorm(nn.LayerNorm):
    """nn.LayerNorm with the function above."""

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


def attention(
    q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, drop: float, bias: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention over (B, H, T, C/H); key_mask (B, 1, 1, T) is true where a key may be seen.

    `bias` (B, H, T, T) is added to the scaled products of queries and keys.
    """
    if q.is_cuda:
        mask = bias if bias is None or key_mask is None else bias.masked_fill(~key_mask, float("-inf"))
        return F.scaled_dot_product_attention(q, k, v, key_mask if mask is None else mask, drop)
    # On CPU torch's fused kernel is slower than its parts, in its backward pass above all.
    scores = (q * q.size(-1) ** -0.5) @ k.transpose(2, 3)
    if bias is not None:
        scores = scores + bias
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask, float("-inf"))
    return dropout(scores.softmax(-1), drop).to(v.dtype) @ v


def convolve(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a convolution without padding to (B, T, C); returns (B, T', C'), channels last."""
    if torch.onnx.is_in_onnx_export():
        return conv(x.transpose(1, 2)).transpose(1, 2)
    if x.is_cuda and conv.in_channels > 1:  # twice as fast as torch's 1-D convolution (benchmarks/RESULTS.md)
        image = x.transpose(1, 2)[:, :, None]  # (B, C, 1, T), channels last in memory
        return F.conv2d(image, conv.weight[:, :, None], conv.bias, (1, conv.stride[0]))[:, :, 0].transpose(1, 2)
    # On CPU one matrix product is faster than torch's convolution, which copies to channels first and back; so it is
    # for the single channel of a waveform on a GPU.
    windows = x.unfold(1, conv.kernel_size[0], conv.stride[0]).flatten(2)  # (B, T', C x kernel)
    return F.linear(windows, conv.weight.flatten(1), conv.bias)


def convolve_channels(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a depthwise convolution, with its padding, to (B, T, C); returns (B, T', C), channels last."""
    if x.is_cuda or torch.onnx.is_in_onnx_export():
        return conv(x.transpose(1, 2)).transpose(1, 2)
    # On CPU torch's 2-D convolution keeps channels last, where the 1-D one copies to channels first and back.
    image = x.transpose(1, 2)[..., None]  # (B, C, T, 1)
    y = F.conv2d(image, conv.weight[..., None], conv.bias, padding=(conv.kernel_size[0] // 2, 0), groups=conv.groups)
    return y[..., 0].transpose(1, 2)
