"""Front-ends: from waveform, fbank or labels to the frames the Transformer sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.data.signals import FBANK, WAVEFORM, Signal
from mt4ssl.errors import UserError
from mt4ssl.models.kernels import LayerNorm, convolve
from mt4ssl.ranges import Classes, Count, Positive

Size = TypeVar("Size", int, Tensor)
"""A length, or a tensor of lengths."""


@dataclass
class FrontendConfig:
    """How the input becomes frames; `waveform` is the paper's (wav2vec 2.0, section 2), `fbank` the fast one.

    `codes` reads labels that stand in for speech (CoBERT, and recognition of discrete tokens).
    """

    type: Literal["waveform", "fbank", "codes"] = "waveform"
    """Front-end: convolutions over the waveform, over fbank, or over embeddings of labels."""
    dim: Count = 512
    """Number of channels of every convolution, and of the embeddings."""
    kernels: list[Count] = field(default_factory=lambda: [10, 3, 3, 3, 3, 2, 2])
    """Kernel width of each convolution, in frames of its input; the codes front-end may have none: `[]`."""
    strides: list[Count] = field(default_factory=lambda: [5, 2, 2, 2, 2, 2, 2])
    """Stride of each convolution; their product sets the frame rate."""
    normalise: bool = True
    """Give each utterance zero mean and unit variance first (`task.normalize`: not in wav2vec 2.0 base)."""
    norm: Literal["layer", "group"] = "layer"
    """Normalisation in the waveform front-end: LayerNorm in every layer, or GroupNorm over time in the first one alone
    (wav2vec 2.0 and HuBERT base)."""
    bias: bool = False
    """Give the convolutions of the waveform front-end a bias."""
    padding_leaks: bool = False
    """Let padding into the statistics of GroupNorm, as fairseq and transformers do."""
    activation: Literal["gelu", "glu"] = "gelu"
    """What follows each convolution: GELU, or, in the fbank front-end alone, gated linear units (Fast-HuBERT)."""
    labels: str = "kmeans"
    """Name of the labels that the codes front-end reads: a field of the cuts."""
    label_rate: Positive = 50.0
    """Labels a second that it reads; of more, those at the start of each frame are. Tokens without times are all read:
    say about how many a second they are."""
    classes: Classes = 100
    """Number of different labels."""

    def __post_init__(self) -> None:
        if self.activation == "glu" and self.type != "fbank":
            raise ValueError(f"frontend.activation glu is for fbank, not for {self.type}: leave it out")
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"frontend has {len(self.kernels)} kernels but {len(self.strides)} strides")
        if not self.kernels and self.type != "codes":
            raise ValueError(f"frontend {self.type} needs kernels and strides: only codes can be read without")
        if self.type != "waveform" and any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"frontend.kernels are {self.kernels}: for {self.type} they must be odd numbers")

    @property
    def reads(self) -> Signal:
        """What the front-end reads."""
        return FRONTENDS[self.type].signal(self)

    @property
    def frame_shift(self) -> float:
        """Seconds between two output frames."""
        return round(prod(self.strides) / self.reads.rate, 6)

    @property
    def frame_values(self) -> int:
        """Values of fbank from one output frame to the next; 0 for waveforms and labels."""
        return prod(self.strides) * self.reads.bins

    def same_frames(self, other: FrontendConfig) -> bool:
        """Whether both make as many frames of every input; a codes front-end gets a label for each of the other's."""
        if self.type == "codes":
            return self.frame_shift == other.frame_shift and prod(self.strides) == 1
        if self.type == other.type == "fbank":  # padded: kernels do not matter
            return self.frame_shift == other.frame_shift
        return (self.type, self.kernels, self.strides) == (other.type, other.kernels, other.strides)

    def frames(self, size: Size) -> Size:
        """Frames that come out of `size` samples, fbank frames or labels; works on tensors of sizes too."""
        for kernel, stride in zip(self.kernels, self.strides):
            size = FRONTENDS[self.type].convolved_length(size, kernel, stride)
        return size


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """Return (B, size) booleans, true where a frame lies beyond its utterance's length (B,)."""
    return torch.arange(size, device=lengths.device)[None, :] >= lengths[:, None]


def normalise(x: Tensor, lengths: Tensor | None, eps: float = 1e-7) -> Tensor:
    """Give every utterance of (B, T, ...) zero mean and unit variance over its own T; padding becomes zero.

    `eps` as in transformers' Wav2Vec2FeatureExtractor, so that exported models see the same input there.
    """
    if lengths is None:
        centred = x - x.mean(1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + eps)
    inside = ~padding_mask(lengths, x.size(1))
    inside = inside.view(*inside.shape, *[1] * (x.dim() - 2)).to(x.dtype)
    count = lengths.to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    mean = (x * inside).sum(1, keepdim=True) / count
    centred = (x - mean) * inside
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * torch.rsqrt(variance + eps)


class Frontend(nn.Module):
    """Base of the front-ends, which turn inputs and their lengths (B,) into frames (B, T, C) and their lengths (B,).

    Lengths are None where no utterance is padded.
    """

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__()
        self.normalise = config.normalise

    @staticmethod
    def signal(config: FrontendConfig) -> Signal:
        """What a front-end of that config reads."""
        raise NotImplementedError

    @staticmethod
    def convolved_length(size: Size, kernel: int, stride: int) -> Size:
        """Length that one of the front-end's convolutions makes of `size`."""
        raise NotImplementedError


class ConvLayer(nn.Module):
    """Convolution, normalisation (over channels, over time, or none), GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str, config: FrontendConfig) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=config.bias)
        self.padding_leaks = config.padding_leaks
        self.norm: nn.Module = nn.Identity()
        if norm != "none":
            self.norm = LayerNorm(outputs) if norm == "layer" else nn.GroupNorm(outputs, outputs)
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, T, C) with lengths (B,) -> (B, T', C') with lengths (B,)."""
        x = convolve(self.conv, x)  # (B, T', C')
        if lengths is not None:
            lengths = WaveformFrontend.convolved_length(lengths, self.conv.kernel_size[0], self.conv.stride[0])
        if isinstance(self.norm, nn.GroupNorm):
            if self.padding_leaks:
                x = self.norm(x.transpose(1, 2)).transpose(1, 2)
            else:
                x = normalise(x, lengths, self.norm.eps) * self.norm.weight + self.norm.bias
        else:
            x = self.norm(x)
        return F.gelu(x), lengths


class WaveformFrontend(Frontend):
    """Seven strided convolutions over the waveform, 50 frames a second (wav2vec 2.0, section 2)."""

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__(config)
        sizes = [1] + [config.dim] * len(config.kernels)
        norms = ["layer"] * len(config.kernels)
        if config.norm == "group":
            norms = ["group"] + ["none"] * (len(config.kernels) - 1)
        self.layers = nn.ModuleList(
            ConvLayer(*layer, config) for layer in zip(sizes[:-1], sizes[1:], config.kernels, config.strides, norms)
        )

    @staticmethod
    def signal(config: FrontendConfig) -> Signal:
        return WAVEFORM

    @staticmethod
    def convolved_length(size: Size, kernel: int, stride: int) -> Size:
        """Length that a convolution without padding makes of `size`."""
        return (size - kernel) // stride + 1

    def forward(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Turn waveforms (B, S) with lengths (B,) in samples into frames (B, T, C) and their lengths (B,)."""
        x = normalise(waveforms, lengths) if self.normalise else waveforms
        x = x[..., None]  # (B, S, 1)
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x, lengths


class Subsampler(Frontend):
    """Strided convolutions with padding on both sides, as fbank and labels have them."""

    def __init__(self, config: FrontendConfig, inputs: int) -> None:
        super().__init__(config)
        sizes = [inputs] + [config.dim] * len(config.kernels)
        self.glu = config.activation == "glu"
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs, 2 * outputs if self.glu else outputs, kernel, stride, padding=kernel // 2)
            for inputs, outputs, kernel, stride in zip(sizes[:-1], sizes[1:], config.kernels, config.strides)
        )
        self.kernels, self.strides = config.kernels, config.strides

    @staticmethod
    def convolved_length(size: Size, kernel: int, stride: int) -> Size:
        """Length that a convolution with padding on both sides makes of `size`."""
        return (size + stride - 1) // stride

    def subsample(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, T, C), zero beyond its lengths (B,) -> (B, T', C') and lengths (B,)."""
        x = x.transpose(1, 2)  # (B, C, T)
        for layer, kernel, stride in zip(self.layers, self.kernels, self.strides):
            x = layer(x)
            x = F.glu(x, dim=1) if self.glu else F.gelu(x)
            if lengths is not None:
                lengths = self.convolved_length(lengths, kernel, stride)
                # As if each utterance were alone: what the bias put beyond its end must not leak back in.
                x = x.masked_fill(padding_mask(lengths, x.size(2))[:, None], 0.0)
        return x.transpose(1, 2), lengths


class FbankFrontend(Subsampler):
    """Strided convolutions over per-utterance normalised fbank: 25 frames a second with strides 2, 2; 50 with 2, 1.

    With gated linear units it is the subsampler of Speech2Text and Fast-HuBERT.
    """

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__(config, FBANK.bins)

    @staticmethod
    def signal(config: FrontendConfig) -> Signal:
        return FBANK

    def forward(self, fbank: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Turn fbank (B, T, 80) with lengths (B,) in fbank frames into frames (B, T', C) and their lengths (B,)."""
        return self.subsample(normalise(fbank, lengths) if self.normalise else fbank, lengths)


class CodesFrontend(Subsampler):
    """An embedding of each label (CoBERT), and strided convolutions over them where the config has any."""

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__(config, config.dim)
        self.normalise = False  # labels are no measurements
        self.embedding = nn.Embedding(config.classes, config.dim)

    @staticmethod
    def signal(config: FrontendConfig) -> Signal:
        return Signal(config.label_rate, 0, config.labels, config.classes)

    def forward(self, labels: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Turn labels (B, T) with lengths (B,) into frames (B, T', C) and their lengths (B,); UserError for audio."""
        if labels.is_floating_point():
            raise UserError("this model reads labels of cuts, not audio: give it cuts that have them")
        x = self.embedding(labels)
        if lengths is not None:
            x = x.masked_fill(padding_mask(lengths, x.size(1))[..., None], 0.0)
        return self.subsample(x, lengths)


FRONTENDS: dict[str, type[Frontend]] = {"waveform": WaveformFrontend, "fbank": FbankFrontend, "codes": CodesFrontend}
