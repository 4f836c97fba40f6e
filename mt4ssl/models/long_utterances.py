"""Long utterances through a model in windows that overlap: attention keeps the square of what it sees at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn

from mt4ssl.data.signals import WINDOW
from mt4ssl.models.frontend import ConvLayer, Frontend, FrontendConfig, normalise
from mt4ssl.models.kernels import convolve

CONTEXT = 5.0
"""Seconds that a window sees, where the utterance goes on, before and after the frames that are taken from it."""
PIECE = 1 << 14  # frames that statistics are taken of at a time: all together would be gigabytes

Model = TypeVar("Model", bound=nn.Module)


@dataclass
class Window:
    """A window of an utterance; it begins where a frame of the model does."""

    begin: int
    """Its first sample or fbank frame."""
    end: int
    frames: int
    """Frames of the model in it."""
    kept: slice
    """Which of these are taken."""


def encode_in_windows(
    model: Model,
    encode: Callable[[Model, Tensor, Tensor], list[Tensor]],
    inputs: Tensor,
    lengths: Tensor,
    frontend: FrontendConfig,
) -> list[Tensor]:
    """Return what `encode` makes of the model, inputs (B, S) or (B, T, 80) and lengths (B,): tensors (B, T', ...).

    An utterance of more than WINDOW seconds, which must be alone, is encoded in windows. The front-end gives what it
    gives of the whole; attention sees no farther than the window, so that the layers give about what they would.
    """
    size = int(lengths.max())
    windows = cut_windows(size, frontend)
    if len(windows) == 1:
        return encode(model, inputs, lengths)
    model, x = with_statistics_of_all(model, inputs[:, :size])
    parts = []
    for window in windows:
        outputs = encode(model, x[:, window.begin : window.end], lengths.new_tensor([window.end - window.begin]))
        slots = outputs[0].size(1) // window.frames  # CTC may give several rows for a frame
        kept = slice(window.kept.start * slots, window.kept.stop * slots)
        parts.append([output[:, kept] for output in outputs])
    return [torch.cat(part, 1) for part in zip(*parts)]


def cut_windows(size: int, frontend: FrontendConfig) -> list[Window]:
    """Return the windows of `size` samples or fbank frames, one where that is not longer than WINDOW seconds.

    All are equally long. Neighbours overlap by two CONTEXT, the last two by more; each gives half of that.
    """
    hop = prod(frontend.strides)
    length, step = (round(seconds * frontend.reads.rate) // hop * hop for seconds in (WINDOW, WINDOW - 2 * CONTEXT))
    if size < length + hop:
        return [Window(0, size, frontend.frames(size), slice(0, frontend.frames(size)))]
    last = -((length - size) // hop) * hop
    begins = [*range(0, last, step), last]
    ends = [*(begin + length for begin in begins[:-1]), size]
    frames = [frontend.frames(end - begin) for begin, end in zip(begins, ends)]
    firsts = [begin // hop for begin in begins]  # each window's first frame, counted through the utterance
    borders = [(first + count + following) // 2 for first, count, following in zip(firsts, frames, firsts[1:])]
    kept = [
        slice(start - first, stop - first)
        for first, (start, stop) in zip(firsts, pairwise([0, *borders, firsts[-1] + frames[-1]]))
    ]
    return [Window(*window) for window in zip(begins, ends, frames, kept)]


def with_statistics_of_all(model: Model, x: Tensor) -> tuple[Model, Tensor]:
    """Return a model of the same weights, and x (1, S) or (1, T, 80), so that parts of x give parts of what it gives.

    Means and variances that the front-end takes of an utterance are those of all of x.
    """
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    model = copy.deepcopy(model, shared)  # another thread may use the model meanwhile
    (frontend,) = (module for module in model.modules() if isinstance(module, Frontend))
    if frontend.normalise:
        frontend.normalise, x = False, normalise(x, None)
    for layer in model.modules():
        if isinstance(layer, ConvLayer) and isinstance(layer.norm, nn.GroupNorm):  # the first one, if any
            layer.norm = FixedNorm(layer.norm, *channel_statistics(layer.conv, x))
    return model, x


class FixedNorm(nn.Module):
    """GroupNorm of groups of one channel, with means and variances (C,) that are known before."""

    def __init__(self, norm: nn.GroupNorm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.mean, self.scale, self.bias = mean, torch.rsqrt(variance + norm.eps) * norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, T, C)."""
        return (x - self.mean) * self.scale + self.bias


def channel_statistics(conv: nn.Conv1d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (C,) over time of what a convolution makes of samples (1, S)."""
    width, stride = conv.kernel_size[0], conv.stride[0]
    count, total, squares = 0, torch.zeros((), device=x.device), torch.zeros((), device=x.device)
    for begin in range(0, x.size(1) - width + 1, PIECE * stride):
        y = convolve(conv, x[:, begin : begin + (PIECE - 1) * stride + width, None])[0].double()
        count, total, squares = count + len(y), total + y.sum(0), squares + y.square().sum(0)
    mean = total / count
    return mean.to(x.dtype), (squares / count - mean.square()).to(x.dtype)
