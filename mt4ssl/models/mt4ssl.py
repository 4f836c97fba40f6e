"""MT4SSL: one masked pass of the student, learning from a list of offline and online targets (paper, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Literal, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from mt4ssl.errors import UserError
from mt4ssl.losses import masked_cross_entropy, masked_regression, mean_std
from mt4ssl.models.encoder import Encoder, EncoderConfig
from mt4ssl.models.frontend import FrontendConfig, make_frontend, padding_mask
from mt4ssl.targets.online import EmaConfig, Teacher, teacher_target


@dataclass
class KMeansTarget:
    """Offline target: predict the K-means label of every masked frame from the output of `layer`."""

    type: Literal["kmeans"]
    name: str = "kmeans"
    """Field of the cuts that holds the labels: the `name` of the K-means config."""
    clusters: int = 100
    layer: int = 12
    weight: float = 1.0


@dataclass
class TeacherTarget:
    """Online target: regress the mean of the EMA teacher's top layers from the output of `layer`."""

    type: Literal["teacher"]
    top_k: int = 8
    layer: int = 12
    weight: float = 1.0


@dataclass
class ModelConfig:
    """The network without its targets."""

    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)


Target = Union[KMeansTarget, TeacherTarget]


@dataclass
class MaskedLosses:
    """What one batch gives; sums are over its masked frames, so that batches can be added up."""

    loss: Tensor
    """Weighted sum of all targets."""
    frames: int
    """Masked frames."""
    sums: Dict[str, Tensor]
    """Per target: summed loss; `accuracy` counts correctly labelled frames, `*_std` is a mean times `frames`."""


class SpeechEncoder(nn.Module):
    """Front-end, projection and Transformer: all of the model that outlives pre-training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.frontend = make_frontend(config.frontend)
        self.feature_norm = nn.LayerNorm(config.frontend.dim)
        self.projection = nn.Linear(config.frontend.dim, config.encoder.dim)
        self.encoder = Encoder(config.encoder)

    def project(self, inputs: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Turn waveforms (B, S) or fbank (B, T, 80) into projected features (B, T', C) and lengths (B,)."""
        x, lengths = self.frontend(inputs, lengths)
        return self.projection(self.feature_norm(x)), lengths

    def forward(self, inputs: Tensor, lengths: Tensor, last_layer: Optional[int] = None) -> Tuple[List[Tensor], Tensor]:
        """Return the outputs (B, T', C) of layers 1 to `last_layer` (default: all), and the lengths (B,)."""
        x, lengths = self.project(inputs, lengths)
        return self.encoder(x, padding_mask(lengths, x.size(1)), last_layer)[0], lengths


class MT4SSL(nn.Module):
    """A student, a head per target, and a teacher where a target asks for one."""

    def __init__(self, config: ModelConfig, targets: List[Target], ema: EmaConfig) -> None:
        super().__init__()
        for target in targets:
            top_k = target.top_k if isinstance(target, TeacherTarget) else 1
            if not (1 <= target.layer <= config.encoder.layers and 1 <= top_k <= config.encoder.layers):
                raise UserError(f"target {target} needs more layers than the encoder's {config.encoder.layers}")
        dim = config.encoder.dim
        self.targets, self.ema = targets, ema
        self.student = SpeechEncoder(config)
        self.mask_embedding = nn.Parameter(torch.empty(dim).uniform_())
        self.heads = nn.ModuleList(
            nn.Linear(dim, target.clusters if isinstance(target, KMeansTarget) else dim) for target in targets
        )
        self.names = [
            f"{index}_{target.name}" if isinstance(target, KMeansTarget) else f"{index}_teacher"
            for index, target in enumerate(targets)
        ]
        online = any(isinstance(target, TeacherTarget) for target in targets)
        self.teacher = Teacher(self.student.encoder) if online else None

    def forward(self, inputs: Tensor, lengths: Tensor, labels: Dict[str, Tensor], mask: Tensor) -> MaskedLosses:
        """Learn from one batch.

        Args:
            inputs: waveforms (B, S) or fbank (B, T, 80).
            lengths: samples or fbank frames of each utterance (B,).
            labels: per K-means name, a label for each of the model's frames (B, T').
            mask: (B, T') booleans, true where the student sees the mask embedding instead of the frame.
        """
        features, lengths = self.student.project(inputs, lengths)
        padding = padding_mask(lengths, features.size(1))
        seen = torch.where(mask[..., None], self.mask_embedding.to(features.dtype), features)
        depth = max(target.layer for target in self.targets)
        outputs = self.student.encoder(seen, padding, depth)[0]
        results = self.teacher(features, padding) if self.teacher is not None else []

        sums: Dict[str, Tensor] = {}
        loss = features.new_zeros((), dtype=torch.float32)
        frames = int(mask.sum())
        for target, name, head in zip(self.targets, self.names, self.heads):
            prediction = head(outputs[target.layer - 1][mask])  # (N, K) or (N, C)
            if isinstance(target, KMeansTarget):
                truth = labels[target.name][mask]
                sums[name] = masked_cross_entropy(prediction, truth)
                sums[f"{name}_accuracy"] = (prediction.argmax(1) == truth).sum()
            else:
                truth = teacher_target(results, target.top_k, padding)[mask]
                sums[name] = masked_regression(prediction, truth)
                sums[f"{name}_target_std"] = mean_std(truth) * frames
                sums[f"{name}_prediction_std"] = mean_std(prediction) * frames
            loss = loss + target.weight * sums[name]
        return MaskedLosses(loss, frames, {key: value.detach() for key, value in sums.items()})

    def update_teacher(self, step: int) -> float:
        """Move the teacher after update `step` (counted from 1); returns the decay used."""
        decay = self.ema.at(step)
        self.teacher.update(self.student.encoder, decay)
        return decay
