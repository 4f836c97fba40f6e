"""Pre-training: config and task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from mt4ssl.checkpoint import load_weights
from mt4ssl.clustering.labels import config_of_labels
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.mixing import MixingConfig
from mt4ssl.data.pretraining import PretrainBatch, PretrainDataset
from mt4ssl.errors import UserError
from mt4ssl.models.decoder import DecoderConfig
from mt4ssl.models.masking import MaskConfig, draw_masks
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.pretrained import check_architecture, student_weights
from mt4ssl.models.speech import ModelConfig
from mt4ssl.ranges import CountOrZero, NotNegative, Positive
from mt4ssl.targets import AnyTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget
from mt4ssl.train.optim import OptimConfig, make_optimizer
from mt4ssl.train.processes import add_up_in_place, share
from mt4ssl.train.task import Averages, LoopConfig, StepSums, Task

NO_DATA = ["--train-cuts", "", "--dev-cuts", "", "--exp-dir", ""]
"""Arguments for what reads a config and no data."""


@dataclass
class GuardConfig:
    """When a collapsed teacher or student stops the training (data2vec; official multi2vec_audio.py)."""

    after: CountOrZero = 5000
    """Number of updates before which nothing is checked."""
    min_target_std: NotNegative = 0.1
    """Least spread of the teacher's targets over frames."""
    min_utterance_std: NotNegative = 0.1
    """Least spread of the teacher's targets over utterances, at the same frame: targets that depend on the position
    alone have none, and a good spread over frames."""
    min_prediction_std: NotNegative = 0.01
    """Least spread of the student's predictions over frames."""
    min_perplexity: NotNegative = 2.0
    """Least perplexity of the codes that the frames of an update get from a codebook."""


@dataclass
class PretrainConfig:
    """Masked pre-training; the defaults are the paper's base model on LibriSpeech."""

    train_cuts: str
    """Manifest of the cuts to train on, with the labels that the targets need."""
    dev_cuts: str
    """Manifest of the cuts to validate on."""
    exp_dir: str
    """Folder of this training: checkpoints, config and log."""
    model: ModelConfig = field(default_factory=ModelConfig)
    initial: str | None = None
    """Folder of a pre-training, or of an exported or imported encoder, whose weights the training starts from."""
    initial_frontend: bool = True
    """Start from the front-end and the projection of `initial` too; if false they are new, perhaps of another kind."""
    targets: list[AnyTarget] = field(default_factory=lambda: [KMeansTarget("kmeans"), TeacherTarget("teacher")])
    """What is learned, a list; all targets share one mask and one pass of the student."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    mixing: MixingConfig = field(default_factory=MixingConfig)
    decoder: DecoderConfig | None = None
    """Predicts masked frames from visible ones, which alone the student then encodes (data2vec 2.0); without a decoder
    the student sees a learned embedding in their place, and predicts them itself."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    min_seconds: NotNegative = 2.0
    """Cuts shorter than so many seconds are left out, and counted."""
    max_seconds: Positive = 20.0
    """Cuts longer than so many seconds are cropped, at a random place."""

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets is empty: name at least one (docs/targets.md shows how)")
        if self.initial is None and not self.initial_frontend:
            raise ValueError("initial_frontend is about a model to start from: set initial too, or leave it out")
        least = 3 * self.model.frontend.frame_shift
        if self.min_seconds < least:
            raise ValueError(f"min_seconds is {self.min_seconds:g}: it must be at least {least:g}, three frames")
        if self.mixing.prob and self.needs_waveforms():
            raise ValueError("mixing.prob: waveforms beside fbank are not mixed: leave it 0 with a frontend target")
        if self.mask.prob == 0 and (lost := [target for target in self.targets if target.needs_mask]):
            raise ValueError(f"mask.prob is 0, but {lost[0]} is learned at masked frames: raise it, or drop the target")
        if self.mask.prob == 1 and self.decoder:
            raise ValueError("mask.prob is 1: with a decoder some frames must be visible")
        read, layers = max(target.layer for target in self.targets), self.model.encoder.layers
        followed = max(target.highest_followed(layers) for target in self.targets)
        if self.initial is None and read < followed <= layers:
            raise ValueError(
                f"a target follows layer {followed} of the teacher, but no target trains layers above {read}: let one "
                f"read layer {followed}"
            )

    def with_classes(self, classes: Callable[[str], int]) -> PretrainConfig:
        """Return the config with the number of classes of each target's labels, by their name."""
        targets: list[AnyTarget] = [
            target.with_classes(classes(target.labels)) if target.labels else target for target in self.targets
        ]
        return replace(self, targets=targets)

    def labels(self) -> list[str]:
        """Return the names of the labels that the targets and the front-end need, each once."""
        needed = {self.model.frontend.reads.labels, *(target.labels for target in self.targets)}
        return sorted(name for name in needed if name)

    def needs_waveforms(self) -> bool:
        """Whether a target needs the waveforms beside fbank."""
        return any(target.needs_waveforms for target in self.targets)


def with_clusters(config: PretrainConfig) -> PretrainConfig:
    """Return the config with as many classes as the configs beside the labels say; UserError if dev's say another."""

    def classes(name: str) -> int:
        folders = Path(config.train_cuts).parent, Path(config.dev_cuts).parent
        train, dev = (config_of_labels(folder, name).clusters for folder in folders)
        if train != dev:
            raise UserError(f"{name!r} has {train} classes in {config.train_cuts}, but {dev} in {config.dev_cuts}")
        return train

    return config.with_classes(classes)


def make_model(config: PretrainConfig) -> MT4SSL:
    """Build the model of a pre-training, with random weights."""
    return MT4SSL(config.model, config.targets, config.ema, config.decoder, config.mask.copies)


def check_initial(config: PretrainConfig) -> None:
    """Raise UserError if the model that a training starts from is not there, or of another architecture."""
    if config.initial:
        sections = ("frontend", "encoder") if config.initial_frontend else ("encoder",)
        check_architecture(config.model, Path(config.initial), sections)


def start_from(model: MT4SSL, folder: Path, with_frontend: bool) -> None:
    """Copy a pre-trained encoder, of the same architecture, and its mask embedding into the student and its teacher.

    Front-end and projection stay as they are unless `with_frontend`.
    """
    weights, mask_embedding = student_weights(folder)
    if with_frontend:
        load_weights(model.student, weights, folder)
    else:
        layers = {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}
        load_weights(model.student.encoder, layers, folder)
    if model.decoder is None:
        with torch.no_grad():
            model.mask_embedding.copy_(mask_embedding)
    if model.teacher is not None:
        model.teacher.encoder.load_state_dict(model.student.encoder.state_dict())


class PretrainTask(Task):
    """MT4SSL on labelled cuts."""

    model: MT4SSL
    train_data: PretrainDataset

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(config.loop.seed)
        self.model = make_model(config)
        check_initial(config)
        if config.initial:
            start_from(self.model, Path(config.initial), config.initial_frontend)
        self.model.to(device)
        self.optimizer = make_optimizer([(self.model.parameters(), 1.0)], config.optim)
        self.train_data, self.rejected = self.dataset(config.train_cuts, config.mixing.prob)
        self.dev_data, self.dev_rejected = self.dataset(config.dev_cuts)
        self.dev_data.batch(0)  # what is wrong with dev is said now, and not at the first validation

    def dataset(self, path: str, mixing_prob: float = 0.0) -> tuple[PretrainDataset, Cuts]:
        """Cuts that are long enough, and those that are not."""
        config = self.config
        cuts, rejected = read_cuts(path, config.min_seconds)
        data = PretrainDataset(
            cuts, config.model.frontend, config.labels(), partial(draw_masks, config=config.mask),
            config.loop.batch_seconds, config.loop.max_batch_seconds, config.max_seconds, config.loop.seed,
            mixing_prob, config.needs_waveforms(),
        )  # fmt: skip
        return data, rejected

    def losses(self, batch: PretrainBatch) -> StepSums:
        result = self.model(batch.inputs, None, batch.labels, batch.masked, batch.waveforms)  # of equally long crops
        sums = {"loss": result.loss.detach(), **result.sums}
        return StepSums(result.loss, result.frames, {name: (value, result.frames) for name, value in sums.items()})

    def finish_update(self, step: int) -> dict[str, torch.Tensor | float]:
        add_up_in_place(self.model.update_sums())
        return self.model.finish_update(step)

    def skip_update(self) -> None:
        for sums in self.model.update_sums():
            sums.zero_()

    def check_values(self, step: int, values: dict[str, float]) -> None:
        guard = self.config.guard
        limits = {
            "target_std": guard.min_target_std,
            "utterance_std": guard.min_utterance_std,
            "prediction_std": guard.min_prediction_std,
            "perplexity": guard.min_perplexity,
        }
        layers = self.config.model.encoder.layers
        fixed = {  # the answers of another model, which cannot collapse
            f"{name}_target_std"
            for name, target in zip(self.model.names, self.model.targets)
            if not target.highest_followed(layers)
        }
        for kind, least in limits.items():
            for name, value in values.items():
                if name.endswith(f"_{kind}") and name not in fixed and value < least and step > guard.after:
                    alike = "utterances" if kind == "utterance_std" else "frames"
                    raise UserError(
                        f"{self.config.exp_dir}: collapse: {name} is {value:.3g} (< {least}) at update {step}: {alike} "
                        "look alike to the teacher; lower optim.lr, raise ema.decay, or give the kmeans target weight"
                    )

    def validate(self) -> dict[str, float]:
        """All of the dev set once, always with the same crops and masks."""
        averages = Averages()
        for number in share(self.dev_data.plan.batches_per_epoch):
            averages.add(self.losses(self.dev_data.batch(number).to(self.device)).sums)
        return averages.over_processes().values()
