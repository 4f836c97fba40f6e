"""Front-ends: from waveform or fbank to the frames the Transformer sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Literal, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.data.rates import FBANK_BINS, FBANK_SHIFT, SAMPLING_RATE


@dataclass
class FrontendConfig:
    """How the input becomes frames; `waveform` is the paper's (wav2vec 2.0, section 2), `fbank` the fast one."""

    type: Literal["waveform", "fbank"] = "waveform"
    dim: int = 512
    """Channels of every convolution."""
    kernels: List[int] = field(default_factory=lambda: [10, 3, 3, 3, 3, 2, 2])
    strides: List[int] = field(default_factory=lambda: [5, 2, 2, 2, 2, 2, 2])
    normalise: bool = True
    """Give each utterance zero mean and unit variance first (`task.normalize`: not in wav2vec 2.0 base)."""
    norm: Literal["layer", "group"] = "layer"
    """Of waveform convolutions: LayerNorm each, or GroupNorm over time on the first (wav2vec 2.0 and HuBERT base)."""
    bias: bool = False
    """Of the waveform's convolutions."""
    padding_leaks: bool = False
    """Let padding into the statistics of GroupNorm, as fairseq and transformers do."""

    def __post_init__(self) -> None:
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"frontend has {len(self.kernels)} kernels but {len(self.strides)} strides")

    @property
    def frame_shift(self) -> float:
        """Seconds between two output frames."""
        stride = 1
        for step in self.strides:
            stride *= step
        return round(stride * (FBANK_SHIFT if self.type == "fbank" else 1 / SAMPLING_RATE), 6)

    def frames(self, size: int) -> int:
        """Frames that come out of `size` samples or fbank frames; works on tensors of sizes too."""
        for kernel, stride in zip(self.kernels, self.strides):
            size = (size + stride - 1) // stride if self.type == "fbank" else (size - kernel) // stride + 1
        return size


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """Return (B, size) booleans, true where a frame lies beyond its utterance's length (B,)."""
    return torch.arange(size, device=lengths.device)[None, :] >= lengths[:, None]


def normalise(x: Tensor, lengths: Tensor, eps: float = 1e-7) -> Tensor:
    """Give every utterance of (B, T, ...) zero mean and unit variance over its own T; padding becomes zero.

    `eps` as in transformers' Wav2Vec2FeatureExtractor, so that exported models see the same input there.
    """
    inside = ~padding_mask(lengths, x.size(1))
    inside = inside.view(*inside.shape, *[1] * (x.dim() - 2)).to(x.dtype)
    count = lengths.to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    mean = (x * inside).sum(1, keepdim=True) / count
    centred = (x - mean) * inside
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * torch.rsqrt(variance + eps)


class ConvLayer(nn.Module):
    """Convolution, normalisation (over channels, over time, or none), GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str, config: FrontendConfig) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=config.bias)
        self.kernel, self.stride, self.padding_leaks = kernel, stride, config.padding_leaks
        if norm == "layer":
            self.norm = nn.LayerNorm(outputs)
        else:
            self.norm = nn.GroupNorm(outputs, outputs) if norm == "group" else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """(B, T, C) with lengths (B,) -> (B, T', C') with lengths (B,)."""
        x, lengths = self.convolve(x), (lengths - self.kernel) // self.stride + 1
        if isinstance(self.norm, nn.GroupNorm):
            if self.padding_leaks:
                x = self.norm(x.transpose(1, 2)).transpose(1, 2)
            else:
                x = normalise(x, lengths, self.norm.eps) * self.norm.weight + self.norm.bias
        else:
            x = self.norm(x)
        return F.gelu(x), lengths

    def convolve(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T', C'), channels last as the norm wants them."""
        if x.is_cuda or torch.onnx.is_in_onnx_export():
            return self.conv(x.transpose(1, 2)).transpose(1, 2)
        # On CPU one matrix product is faster than torch's convolution, which copies to channels first and back.
        windows = x.unfold(1, self.kernel, self.stride).flatten(2)  # (B, T', C x kernel)
        return F.linear(windows, self.conv.weight.flatten(1), self.conv.bias)


class WaveformFrontend(nn.Module):
    """Seven strided convolutions over the waveform, 50 frames a second (wav2vec 2.0, section 2)."""

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__()
        sizes = [1] + [config.dim] * len(config.kernels)
        norms = ["layer"] * len(config.kernels)
        if config.norm == "group":
            norms = ["group"] + ["none"] * (len(config.kernels) - 1)
        self.layers = nn.ModuleList(
            ConvLayer(*layer, config) for layer in zip(sizes[:-1], sizes[1:], config.kernels, config.strides, norms)
        )
        self.normalise = config.normalise

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Turn waveforms (B, S) with lengths (B,) in samples into frames (B, T, C) and their lengths (B,)."""
        x = normalise(waveforms, lengths) if self.normalise else waveforms
        x = x[..., None]  # (B, S, 1)
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x, lengths


class FbankFrontend(nn.Module):
    """Strided convolutions over per-utterance normalised fbank: 25 frames a second with strides 2, 2; 50 with 2, 1."""

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__()
        sizes = [FBANK_BINS] + [config.dim] * len(config.kernels)
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs, outputs, kernel, stride, padding=kernel // 2)
            for inputs, outputs, kernel, stride in zip(sizes[:-1], sizes[1:], config.kernels, config.strides)
        )
        self.strides, self.normalise = config.strides, config.normalise

    def forward(self, fbank: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Turn fbank (B, T, 80) with lengths (B,) in fbank frames into frames (B, T', C) and their lengths (B,)."""
        x = normalise(fbank, lengths) if self.normalise else fbank
        x = x.transpose(1, 2)  # (B, 80, T)
        for layer, stride in zip(self.layers, self.strides):
            x = F.gelu(layer(x))
            lengths = (lengths + stride - 1) // stride
            # As if each utterance were alone: what the bias put beyond its end must not leak back in.
            x = x.masked_fill(padding_mask(lengths, x.size(2))[:, None], 0.0)
        return x.transpose(1, 2), lengths


def make_frontend(config: FrontendConfig) -> nn.Module:
    """Build the front-end that the config names."""
    return WaveformFrontend(config) if config.type == "waveform" else FbankFrontend(config)
