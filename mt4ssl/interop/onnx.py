"""Models as ONNX: from padded waveforms to log-probs or hidden states, in one graph that needs no Python."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.data.features import make_extractor
from mt4ssl.data.signals import FBANK, FBANK_SHIFT, SAMPLING_RATE
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.models.ctc import CtcModel
from mt4ssl.models.frontend import padding_mask
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

OPSET = 17  # the first with LayerNormalization


class Fbank(nn.Module):
    """The fbank of `mt4ssl.data.features` (lhotse's Kaldi fbank), for padded batches and with operators of ONNX only.

    Up to the spectrum all is linear in a frame of samples - DC removal, pre-emphasis, window, Fourier transform - and
    so becomes one strided convolution, whose kernel is what the extractor makes of the unit vectors.
    """

    kernel: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        layer = make_extractor("fbank").extractor.double()
        self.shift = round(FBANK_SHIFT * SAMPLING_RATE)
        self.window = round(layer.frame_length * SAMPLING_RATE)
        units = torch.eye(self.window, dtype=torch.float64)[None]
        spectrum = torch.fft.rfft(layer.wav2win._forward_strided(units)[0][0])  # (400, 257)
        self.register_buffer("kernel", torch.cat([spectrum.real, spectrum.imag], 1).T[:, None].float())  # (514, 1, 400)
        self.register_buffer("mel", torch.cat([layer._fb, layer._fb]).float())  # (514, 80)
        self.floor = layer._eps.item()

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waveforms (B, S) with lengths (B,) in samples into fbank (B, T, 80), zero beyond its lengths (B,)."""
        half, overlap = self.shift // 2, self.window - self.shift
        frames = (waveforms.size(1) + half) // self.shift
        # Both ends of each utterance are mirrored, the last sample included (lhotse, snip_edges=False).
        position = torch.arange(frames * self.shift + overlap, device=lengths.device)[None] - overlap // 2
        position = torch.where(position < 0, -1 - position, position)
        position = torch.where(position < lengths[:, None], position, 2 * lengths[:, None] - 1 - position)
        samples = waveforms.gather(1, position.clamp(min=0))
        spectrum = F.conv1d(samples[:, None], self.kernel, stride=self.shift).transpose(1, 2)  # (B, T, 514)
        fbank = (spectrum.square() @ self.mel).clamp(min=self.floor).log()
        lengths = (lengths + half) // self.shift
        return fbank.masked_fill(padding_mask(lengths, frames)[..., None], 0.0), lengths


class FromWaveforms(nn.Module):
    """A model that starts from waveforms, whatever its front-end reads, and whose output is one tensor."""

    def __init__(self, model: CtcModel | SpeechEncoder, architecture: ModelConfig) -> None:
        super().__init__()
        self.fbank = Fbank() if architecture.frontend.reads == FBANK else None
        self.model = model

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waveforms (B, S) with lengths (B,) in samples into the model's outputs and their lengths (B,)."""
        inputs = (waveforms, lengths) if self.fbank is None else self.fbank(waveforms, lengths)
        outputs, lengths = self.model(*inputs)
        return torch.stack(outputs, 1) if isinstance(outputs, list) else outputs, lengths


def export_onnx(model: CtcModel | SpeechEncoder, architecture: ModelConfig, path: str | Path) -> None:
    """Write a model on the CPU, which is left in eval mode, as one ONNX file; B, S and T are free.

    Inputs: `waveforms` (B, S) of 16 kHz, float32, and `lengths` (B,) in samples, int64.
    Outputs of a CtcModel: `log_probs` (B, T, V) and `log_probs_lengths` (B,).
    Outputs of a SpeechEncoder: `hidden` (B, L, T, C), of all L layers, and `hidden_lengths` (B,).
    Raises UserError where onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(f"ONNX export needs {error.name}: run tools/setup.sh, or pip install onnx") from error
    output, time = ("log_probs", 1) if isinstance(model, CtcModel) else ("hidden", 2)
    axes = {
        "waveforms": {0: "B", 1: "S"},
        "lengths": {0: "B"},
        output: {0: "B", time: "T"},
        f"{output}_lengths": {0: "B"},
    }
    # The exporter records one pass: with padding, so that what padding needs is part of it.
    example = torch.zeros(2, SAMPLING_RATE), torch.tensor([SAMPLING_RATE, SAMPLING_RATE // 2])
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # branches that are recorded for good, and the age of this exporter
        torch.onnx.export(
            FromWaveforms(model, architecture).eval(),
            example,
            temporary,
            input_names=list(axes)[:2],
            output_names=list(axes)[2:],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript, and stops at `padding.any()`
        )
        onnx.checker.check_model(str(temporary), full_check=True)
