"""What a GPU would be asked to do, seen without one: torch's fake tensors have its device, types and shapes, no values.

Whatever asks for a value, and would wait for the device, raises.
"""

from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mt4ssl.models.decoder import DecoderConfig
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.random_projection import RandomProjectionTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget

FRONTENDS = {
    "waveform": (FrontendConfig("waveform", 24), (2, 8000)),
    "fbank": (FrontendConfig("fbank", 24, [3, 3], [2, 1]), (2, 80, 80)),
}
ENCODER = dict(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4)
TARGETS = [KMeansTarget("kmeans", clusters=7, layer=2), TeacherTarget("teacher", top_k=2, layer=2)]


class Types(TorchDispatchMode):
    """Counts operations and the types that they give, on the GPU."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, tuple | list) else result
        if isinstance(first, torch.Tensor) and first.is_cuda:
            self.seen[operation.overloadpacket.__name__, first.dtype] += 1
        return result


@pytest.fixture
def bf16_on_gpu():
    """Autocast to bf16 on a GPU, which torch.autocast refuses where there is none."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    yield
    torch.set_autocast_enabled("cuda", False)


def forward(frontend, lengths, targets=TARGETS, decoder=None):
    config, shape = FRONTENDS[frontend]
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        model = MT4SSL(ModelConfig(config, EncoderConfig(**ENCODER)), targets, EmaConfig(), decoder).train()
        model.student.encoder.skips_layer = lambda: False  # the CPU's own draw would be fake, too
        labels = torch.zeros(2, config.frames(shape[1]), dtype=torch.long)
        with Types() as types:
            model(torch.randn(shape), lengths and torch.tensor(lengths), {"kmeans": labels}, torch.arange(9))
    return types.seen


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_norms_and_gelu_stay_in_bf16(bf16_on_gpu, frontend):
    seen = forward(frontend, None)
    for operation in ("native_layer_norm", "gelu", "convolution", "addmm"):
        assert seen[operation, torch.bfloat16] > 0 and seen[operation, torch.float32] == 0, operation


@pytest.mark.parametrize("decoder", [None, DecoderConfig(dim=16, groups=4)], ids=["replaced", "visible"])
def test_other_targets_and_students_run(bf16_on_gpu, decoder):
    targets = [
        *TARGETS,
        RandomProjectionTarget("random_projection", clusters=8, layer=2),
        CodebookTarget("codebook", clusters=8, layer=2, teacher_layer=1),
        KMeansTarget("kmeans", layer=2, frames="all"),
    ]
    seen = forward("fbank", None, targets, decoder)
    assert seen["argmax", torch.int64] > 0 and seen["argmin", torch.int64] > 0


def test_lengths_are_waited_for(bf16_on_gpu):
    with pytest.raises(DataDependentOutputException):
        forward("fbank", [80, 80])
