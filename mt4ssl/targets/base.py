"""What all targets have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from mt4ssl.errors import UserError
from mt4ssl.ranges import Count, NotNegative

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Clean:
    """A batch before anything of it is masked: all that answers are made of."""

    inputs: Tensor
    """What the front-end reads: waveforms (B, S), fbank (B, T, 80) or labels (B, T)."""
    lengths: Tensor | None
    """Samples, fbank frames or labels of each utterance (B,); None where all are equally long."""
    labels: dict[str, Tensor]
    """Per name of a set of labels, a label for each of the model's frames (B, T')."""
    frames: int
    """Frames T' of the model."""
    padding: Tensor | None
    """(B, T') booleans, true beyond the end of an utterance; None where all are equally long."""
    teacher: list[Tensor]
    """The EMA teacher's layer results, (B, T', C) each, for all targets; none without a teacher."""
    masked: Tensor
    """Numbers (N,) of the masked frames, counted through the batch; of several masks, a frame is here once for each."""
    waveforms: Tensor | None = None
    """Equally long waveforms (B, S) beside fbank, where a target asks for them."""


@dataclass
class Student:
    """What a target is told of the network that is to learn it."""

    dim: int
    """Channels of the encoder's layers."""
    inputs: int
    """Values of fbank from one of the model's frames to the next; 0 for a model that reads something else."""
    open_model: Callable[[str, int, str | None, int], tuple[nn.Module, int]]
    """Opens the encoder in a folder, up to a layer: inputs and lengths to the outputs of layers 1, 2, …, and their
    lengths; with the channels of these outputs. It reads what the student does, or the labels of that name and number
    of classes. UserError if it does not, or its frames are not those of the student."""
    open_frontend: Callable[[str], nn.Module]
    """Opens front-end and projection of the model in a folder: equally long waveforms to what its layers read, of as
    many channels as the student's. UserError unless it reads waveforms, and the student fbank."""


class Answers(nn.Module):
    """Where the answers of a target come from; no gradient reaches it.

    Integer answers (B, T') are classes, learned by cross-entropy; answers of floats (B, T', C) are regressed.
    """

    outputs: int
    """Size of what a head predicts: the number of classes of integer answers, or the channels C of floats; 0 if the
    student itself is to give the answers, without a head."""

    def forward(self, clean: Clean) -> Tensor:
        raise NotImplementedError

    def update_sums(self) -> list[Tensor]:
        """Return what an update has added up so far, for it to be added up over processes, in place."""
        return []

    def finish_update(self) -> dict[str, Tensor]:
        """Act on what an update has added up, once all of it is there; returned values are logged."""
        return {}


class Frozen(nn.Module):
    """A module that stays in eval mode, whatever the student does."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


@dataclass(kw_only=True)
class Target:
    """Base of the configs of targets, which add their `type` and what their answers need.

    The loss is the one of the answers' type.
    """

    layer: Count = 12
    """Layer at whose output the student is read, counted from 1."""
    frames: Literal["masked", "all"] = "masked"
    """Frames at which the student is read: those that are masked, or all."""
    weight: NotNegative = 1.0
    """Factor on the loss of this target, a mean over its frames."""

    @property
    def log_name(self) -> str:
        """Name of the target's measures in logs."""
        raise NotImplementedError

    @property
    def labels(self) -> str | None:
        """Name of the labels that the cuts must have for this target; None if it needs none."""
        return None

    @property
    def needs_waveforms(self) -> bool:
        """Whether this target needs the waveforms beside fbank."""
        return False

    @property
    def needs_mask(self) -> bool:
        """Whether this target has nothing to learn where no frame is masked."""
        return self.frames == "masked"

    def highest_followed(self, layers: int) -> int:
        """Return the number of the EMA teacher's highest layer, of so many, that answers are made of; 0 for none."""
        return 0

    def with_classes(self, classes: int) -> Self:
        """Return the target for labels of so many classes; only targets with labels have this."""
        raise NotImplementedError

    def layers_used(self) -> list[int]:
        """Return the numbers of the encoder's layers, counted from 1, that the target reads or needs."""
        return [self.layer]

    def check(self, layers: int) -> None:
        """Raise UserError if an encoder of so many layers is not enough."""
        if any(not 1 <= number <= layers for number in self.layers_used()):
            raise UserError(f"target {self} needs more layers than the encoder's {layers}")

    def make_answers(self, student: Student) -> Answers:
        """Build the module that gives the answers; UserError if the network cannot have this target."""
        raise NotImplementedError
