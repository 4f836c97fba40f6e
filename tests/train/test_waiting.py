"""On a GPU the CPU runs ahead; an operation whose result it must see has it wait. Counted here without a GPU."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mt4ssl.models.decoder import DecoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import MaskConfig
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.targets.random_projection import RandomProjectionTarget
from mt4ssl.train.loop import accumulate
from mt4ssl.train.pretraining import PretrainTask
from mt4ssl.train.processes import MicroBatches
from mt4ssl.train.task import Averages

READ = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "repeat_interleave.Tensor")


OTHERS = [
    RandomProjectionTarget("random_projection", clusters=8, layer=2),
    CodebookTarget("codebook", clusters=8, layer=2, teacher_layer=1),
]


class CountWaits(TorchDispatchMode):
    """Counts the operations that have to know what is in a tensor."""

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = str(operation).removeprefix("aten.")
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in self.indices(args)
        )
        if by_mask or name.startswith(READ):
            self.waits[name] += 1
        return operation(*args, **(kwargs or {}))

    @staticmethod
    def indices(args):
        """What `x[...]` and `x[...] = y` are given."""
        return args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else []


def test_waits_are_seen():
    x = torch.arange(4.0)
    with CountWaits() as counter:
        x[x > 1], x[x > 1] = x[x > 2].sum(), 0.0
        x.sum().item(), bool((x > 1).any()), x.nonzero()
    assert sum(counter.waits.values()) == 6, counter.waits


@pytest.mark.parametrize("frontend", ["fbank", "waveform"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_micro_batch_waits_for_nothing(pretrain_config, frontend, dtype):
    architecture = replace(pretrain_config.model)
    if frontend == "waveform":
        architecture.frontend = FrontendConfig("waveform", 24)
    assert waits_of(replace(pretrain_config, model=architecture), dtype) == {}


@pytest.mark.parametrize("decoder", [None, DecoderConfig(dim=16, groups=4)], ids=["replaced", "visible"])
def test_other_targets_and_students_wait_for_nothing(pretrain_config, decoder):
    targets = [*pretrain_config.targets, *OTHERS]
    config = replace(pretrain_config, targets=targets, decoder=decoder, mask=MaskConfig(0.5, 3, "block", copies=2))
    assert waits_of(config, torch.bfloat16) == {}


def waits_of(config, dtype):
    """What two micro-batches, and the end of their update, wait for."""
    task = PretrainTask(config, torch.device("cpu"))
    task.model.train()
    batch, averages = task.train_data.batch(0), Averages()
    with CountWaits() as counter:
        parts = [accumulate(task, batch, dtype, is_last) for is_last in (False, True)]
        for part in parts:
            averages.add(part.sums)
        MicroBatches(task.train_data, config.loop.batch_seconds).all_losses([parts[0].loss])
        averages.add_values(task.finish_update(1))
    assert averages.values()["loss"] > 0
    return counter.waits
