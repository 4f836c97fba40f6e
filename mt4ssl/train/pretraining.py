"""Pre-training: config and task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Dict, List, Tuple, Union

import torch

from mt4ssl.config import save_config
from mt4ssl.data.datasets import Batch, PretrainDataset, read_cuts
from mt4ssl.errors import UserError
from mt4ssl.models.masking import MaskConfig, span_mask
from mt4ssl.models.mt4ssl import MT4SSL, KMeansTarget, ModelConfig, TeacherTarget
from mt4ssl.targets.offline import config_of_labels
from mt4ssl.targets.online import EmaConfig
from mt4ssl.train.loop import LoopConfig, Mean, StepSums, to_device
from mt4ssl.train.optim import OptimConfig


@dataclass
class GuardConfig:
    """When a collapsed teacher or student stops the training (data2vec; official multi2vec_audio.py)."""

    after: int = 5000
    """Updates before which nothing is checked."""
    min_target_std: float = 0.1
    min_prediction_std: float = 0.01


@dataclass
class PretrainConfig:
    """Masked pre-training; the defaults are the paper's base model on LibriSpeech."""

    train_cuts: str
    dev_cuts: str
    exp_dir: str
    model: ModelConfig = field(default_factory=ModelConfig)
    targets: List[Union[KMeansTarget, TeacherTarget]] = field(
        default_factory=lambda: [KMeansTarget("kmeans"), TeacherTarget("teacher")]
    )
    mask: MaskConfig = field(default_factory=MaskConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    min_seconds: float = 2.0
    """Shorter cuts are left out, and counted."""
    max_seconds: float = 20.0
    """Longer cuts are cropped, at a random place."""

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets is empty: name at least one of kmeans, teacher")


def with_clusters(config: PretrainConfig) -> PretrainConfig:
    """Fill in each K-means target's number of clusters from the config beside its labels."""
    folder = Path(config.train_cuts).parent
    targets = [
        replace(target, clusters=config_of_labels(folder, target.name).clusters)
        if isinstance(target, KMeansTarget)
        else target
        for target in config.targets
    ]
    return replace(config, targets=targets)


class PretrainTask:
    """MT4SSL on labelled cuts."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(config.loop.seed)
        self.model = MT4SSL(config.model, config.targets, config.ema).to(device)
        self.train_data, self.rejected = self.dataset(config.train_cuts)
        self.dev_data, self.dev_rejected = self.dataset(config.dev_cuts)

    def dataset(self, path: str) -> Tuple[PretrainDataset, int]:
        """Cuts that are long enough, and the number of those that are not."""
        config = self.config
        cuts, rejected = read_cuts(path, config.min_seconds)
        names = sorted({target.name for target in config.targets if isinstance(target, KMeansTarget)})
        data = PretrainDataset(
            cuts, config.model.frontend, names, partial(span_mask, config=config.mask), config.loop.batch_seconds,
            config.loop.max_batch_seconds, config.max_seconds, config.loop.seed,
        )  # fmt: skip
        return data, rejected

    def describe(self, folder: Path) -> None:
        save_config(self.config, folder / "config.yaml")

    def start_batch(self, step: int, number: int) -> None:
        """Nothing to prepare."""

    def losses(self, batch: Batch) -> StepSums:
        result = self.model(batch.inputs, batch.lengths, batch.labels, batch.mask)
        sums = {"loss": (result.loss.item(), result.frames)}
        sums.update({name: (value.item(), result.frames) for name, value in result.sums.items()})
        return StepSums(result.loss, result.frames, sums)

    def finish_update(self, step: int) -> Dict[str, float]:
        if self.model.teacher is None:
            return {}
        return {"ema_decay": self.model.update_teacher(step)}

    def check(self, step: int, values: Dict[str, float]) -> None:
        guard = self.config.guard
        for kind, least in (("target", guard.min_target_std), ("prediction", guard.min_prediction_std)):
            for name, value in values.items():
                if name.endswith(f"_{kind}_std") and value < least and step > guard.after:
                    raise UserError(
                        f"{self.config.exp_dir}: collapse: {name} is {value:.3g} (< {least}) at update {step}: frames "
                        "look alike to the teacher; lower optim.lr, raise ema.decay, or give the kmeans target weight"
                    )

    def validate(self) -> Dict[str, float]:
        """All of the dev set once, always with the same crops and masks."""
        mean = Mean()
        for number in range(self.dev_data.plan.batches_per_epoch):
            mean.add(self.losses(to_device(self.dev_data.batch(number), self.device)).sums)
        return mean.values()
