"""CTC fine-tuning: config and task."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import kaldialign
import numpy as np
import torch

from mt4ssl.checkpoint import load_checkpoint, load_weights
from mt4ssl.config import load_config, save_config
from mt4ssl.data.augmentation import AugmentConfig
from mt4ssl.data.ctc import CtcBatch, CtcDataset, fits, transcript
from mt4ssl.data.loading import load_steps, read_cuts
from mt4ssl.decode.greedy import greedy_search
from mt4ssl.errors import UserError
from mt4ssl.lang.tokens import Tokens, copy_tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel, channel_mask, ctc_loss
from mt4ssl.models.masking import MaskConfig, span_mask
from mt4ssl.models.pretrained import load_architecture, student_weights
from mt4ssl.models.speech import ModelConfig
from mt4ssl.ranges import CountOrZero, NotNegative, Positive, ShareBelowOne
from mt4ssl.train.optim import OptimConfig, make_optimizer
from mt4ssl.train.processes import share
from mt4ssl.train.task import Averages, LoopConfig, StepSums, Task


@dataclass
class FinetuneConfig:
    """CTC fine-tuning; the defaults are the paper's 10 h recipe (base_10h.yaml)."""

    train_cuts: str
    """Manifest of the cuts to train on, with transcripts."""
    dev_cuts: str
    """Manifest of the cuts to validate on, with transcripts."""
    exp_dir: str
    """Folder of this training: checkpoints, config and log."""
    lang: str
    """Lang dir, whose tokens.txt has the tokens that the model emits."""
    pretrained: str
    """Folder of the pre-trained model whose architecture, and weights, are taken."""
    from_scratch: bool = False
    """Take the architecture of the pre-trained model only: the baseline without pre-training."""
    ctc: CtcConfig = field(default_factory=CtcConfig)
    dropout: ShareBelowOne = 0.0
    """Dropout of the encoder and of its attention during fine-tuning, in place of the pre-training's."""
    activation_dropout: ShareBelowOne = 0.1
    """Dropout inside the feed-forward layers during fine-tuning, in place of the pre-training's."""
    layerdrop: ShareBelowOne = 0.05
    """Probability that a Transformer layer is skipped during fine-tuning, in place of the pre-training's."""
    freeze_frontend: bool = True
    """Do not train a pre-trained front-end (fairseq `feature_grad_mult: 0`)."""
    reinit_layers: CountOrZero = 0
    """Number of top layers to re-initialise: they are too close to the pre-training's targets (Pasad et al. 2021)."""
    freeze_updates: CountOrZero = 0
    """Number of first updates in which only the head learns."""
    head_lr_factor: NotNegative = 1.0
    """Learning rate of the head as a multiple of the encoder's."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    max_seconds: Positive | None = None
    """Utterances longer than so many seconds are left out, of validation too, and counted; null leaves none out."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=5e-5, eps=1e-8, weight_decay=0.0, warmup=0.1, hold=0.4, final_scale=0.05)
    )
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(updates=20_000, batch_seconds=1600.0))


def with_dropouts(architecture: ModelConfig, config: FinetuneConfig) -> ModelConfig:
    """Return a copy of the pre-trained model's architecture with fine-tuning's dropouts."""
    architecture = deepcopy(architecture)
    architecture.encoder.dropout = architecture.encoder.attention_dropout = config.dropout
    architecture.encoder.activation_dropout = config.activation_dropout
    architecture.encoder.layerdrop = config.layerdrop
    return architecture


def freeze_encoder(model: CtcModel, config: FinetuneConfig, frozen: bool) -> None:
    """Let all but the head learn or not; the front-end, and what masks frames, only where the config has them."""
    trains_frontend = config.from_scratch or not config.freeze_frontend
    model.encoder.requires_grad_(not frozen)
    model.encoder.frontend.requires_grad_(trains_frontend and not frozen)
    model.mask_embedding.requires_grad_(config.ctc.time_mask_prob > 0 and not frozen)


def finetune_optimizer(model: CtcModel, config: FinetuneConfig) -> torch.optim.AdamW:
    """Build the optimiser of what learns, with the head's own learning rate."""
    freeze_encoder(model, config, False)
    return make_optimizer(
        [
            ([*model.encoder.parameters(), model.mask_embedding], 1.0),
            (list(model.head.parameters()), config.head_lr_factor),
        ],
        config.optim,
    )


class FinetuneTask(Task):
    """CTC on transcribed cuts."""

    model: CtcModel
    train_data: CtcDataset

    def __init__(self, config: FinetuneConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.tokens = Tokens(config.lang)
        self.architecture = with_dropouts(load_architecture(Path(config.pretrained)), config)
        torch.manual_seed(config.loop.seed)
        self.model = CtcModel(self.architecture, config.ctc, len(self.tokens))
        if not config.from_scratch:
            load_pretrained(self.model, Path(config.pretrained), config.reinit_layers)
        self.model.to(device)
        self.optimizer = finetune_optimizer(self.model, config)
        self.train_data, self.rejected, self.too_long = self.dataset(config.train_cuts)
        self.dev_data, self.dev_rejected, self.dev_too_long = self.dataset(config.dev_cuts, skip_unknown=True)

    def dataset(self, path: str, skip_unknown: bool = False) -> tuple[CtcDataset, int, int]:
        """Cuts to learn from, and the numbers of those with more tokens than frames and of those that are too long."""
        encode = partial(self.tokens.encode, skip_unknown=skip_unknown)
        loop, frontend, slots = self.config.loop, self.architecture.frontend, self.config.ctc.slots
        every, _ = read_cuts(path)
        cuts = every.take(every.durations <= (self.config.max_seconds or math.inf))
        if not len(cuts):
            raise UserError(f"{path}: every utterance is longer than max_seconds, which is {self.config.max_seconds:g}")
        fitting = [
            index for index, cut in enumerate(cuts) if fits(encode(transcript(cut), cut.id), cut, frontend, slots)
        ]
        if not fitting:
            raise UserError(f"{path}: every transcript has more tokens than frames; raise ctc.slots or use --unit bpe")
        data = CtcDataset(
            cuts.take(fitting), frontend, encode, loop.batch_seconds, loop.max_batch_seconds, loop.seed,
            self.config.augment, slots,
        )  # fmt: skip
        return data, len(cuts) - len(fitting), len(every) - len(cuts)

    def unknown_in_dev(self) -> dict[str, list[str]]:
        """Return {utterance of dev: its characters without a token}: its loss is that of the others."""
        unknown = {cut.id: self.tokens.unknown(transcript(cut)) for cut in self.dev_data.cuts}
        return {utterance: characters for utterance, characters in unknown.items() if characters}

    def save_config(self, folder: Path) -> None:
        """Write what opens the model without its pre-training and its lang dir: settings, architecture, tokens."""
        super().save_config(folder)
        save_config(self.architecture, folder / "model.yaml")
        copy_tokens(self.config.lang, folder)

    def start_batch(self, step: int, number: int) -> None:
        """Freeze the encoder for the first updates; a mask belongs to (seed, step, number)."""
        freeze_encoder(self.model, self.config, step < self.config.freeze_updates)
        self.rng = np.random.default_rng([self.config.loop.seed, step, 2, number])

    def losses(self, batch: CtcBatch) -> StepSums:
        time_mask = channels = None
        if self.model.training:
            time_mask, channels = self.masks(batch)
        log_probs, lengths = self.model(batch.inputs, batch.lengths, time_mask, channels)
        loss = ctc_loss(log_probs, lengths, batch.tokens, batch.token_lengths)
        count = int(batch.token_lengths.sum())
        sums: dict[str, tuple[float, float]] = {"loss": (loss.item(), count)}
        if not self.model.training:
            sums.update(self.errors(log_probs, lengths, batch))
        return StepSums(loss, count, sums)

    def masks(self, batch: CtcBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Time mask (B, T') and channel mask (B, C) of a training batch."""
        ctc, frontend = self.config.ctc, self.architecture.frontend
        frames = [frontend.frames(int(length)) for length in batch.lengths]
        mask = MaskConfig(ctc.time_mask_prob, ctc.time_mask_length)
        time = span_mask(frames, frontend.frames(batch.inputs.size(1)), self.rng, mask, same_count=False)
        channel = channel_mask(len(frames), self.architecture.encoder.dim, ctc, self.rng)
        return torch.from_numpy(time).to(self.device), torch.from_numpy(channel).to(self.device)

    def errors(self, log_probs: torch.Tensor, lengths: torch.Tensor, batch: CtcBatch) -> dict[str, tuple[float, float]]:
        """Errors of greedy search in words and characters, or in phones, and the number of these."""
        measures = self.tokens.unit.measures
        sums = {name: [0, 0] for name in measures}
        for row, length, text in zip(log_probs, lengths, batch.texts):
            reference = self.tokens.reference(text)
            hypothesis = self.tokens.decode(greedy_search(row[:length].cpu().numpy()))
            for name, parts in measures.items():
                ref, hyp = parts(reference), parts(hypothesis)
                sums[name][0] += 100 * kaldialign.edit_distance(ref, hyp)["total"]
                sums[name][1] += len(ref)
        return {name: (errors, size) for name, (errors, size) in sums.items()}

    def validate(self) -> dict[str, float]:
        """Loss and error rates of greedy search on the whole dev set."""
        averages = Averages()
        data = self.dev_data.epoch()
        for batch in load_steps(data, share(len(data)), self.config.loop.workers):
            averages.add(self.losses(batch.to(self.device)).sums)
        return averages.over_processes().values()


def load_pretrained(model: CtcModel, folder: Path, reinit_layers: int = 0) -> None:
    """Copy a pre-trained student's encoder, but for its top `reinit_layers`, and mask embedding into a CTC model."""
    encoder, mask_embedding = student_weights(folder)
    layers = load_architecture(folder).encoder.layers
    check_reinit(reinit_layers, layers)
    random = tuple(f"encoder.layers.{number}." for number in range(layers - reinit_layers, layers))
    encoder.update({name: w for name, w in model.encoder.state_dict().items() if name.startswith(random)})
    load_weights(model.encoder, encoder, folder)
    with torch.no_grad():
        model.mask_embedding.copy_(mask_embedding)


def check_reinit(reinit_layers: int, layers: int) -> None:
    """Raise UserError if a model has fewer layers than are to be re-initialised."""
    if not 0 <= reinit_layers <= layers:
        raise UserError(f"reinit_layers is {reinit_layers}: the pre-trained model has {layers} layers")


def load_ctc(folder: Path, weights: Path) -> tuple[CtcModel, FinetuneConfig, ModelConfig]:
    """Open a fine-tuned model, in eval mode, with the weights of a checkpoint of its folder."""
    config = load_config(FinetuneConfig, folder / "config.yaml")
    architecture = load_config(ModelConfig, folder / "model.yaml")
    model = CtcModel(architecture, config.ctc, len(Tokens(folder)))
    load_weights(model, load_checkpoint(weights)["model"], weights)
    return model.eval(), config, architecture
