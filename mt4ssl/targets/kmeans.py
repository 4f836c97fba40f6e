"""The offline targets extractor (Off-TE): labels that K-means made before the training (HuBERT, section 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from mt4ssl.ranges import Classes
from mt4ssl.targets.base import Answers, Clean, Student, Target

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class KMeansTarget(Target):
    """Offline target: predict the K-means label of every masked frame from the output of `layer`."""

    type: Literal["kmeans"]
    name: str = "kmeans"
    """Name of the labels, which the K-means config gives them: a field of the cuts."""
    clusters: Classes = 100
    """Number of clusters; a training takes it from the labels themselves."""

    @property
    def log_name(self) -> str:
        return self.name

    @property
    def labels(self) -> str:
        return self.name

    def with_classes(self, classes: int) -> Self:
        return replace(self, clusters=classes)

    def make_answers(self, student: Student) -> Answers:
        return LabelAnswers(self.name, self.clusters)


class LabelAnswers(Answers):
    """Looks up the labels that came with the batch."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        self.name, self.outputs = name, classes

    def forward(self, clean: Clean) -> Tensor:
        return clean.labels[self.name]
