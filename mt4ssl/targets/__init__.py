"""Training targets: where the answers come from, where the student is read, and how well it answers.

A target is one file here, one entry of `AnyTarget`, and one row of a YAML config (see CONTRIBUTING.md).
"""

from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.targets.frontend import FrontendTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.model import ModelTarget
from mt4ssl.targets.random_projection import RandomProjectionTarget
from mt4ssl.targets.teacher import TeacherTarget

AnyTarget = KMeansTarget | TeacherTarget | RandomProjectionTarget | CodebookTarget | ModelTarget | FrontendTarget
"""Every target that a pre-training config can name; its `type` says which one a row of YAML is."""
