"""How long a training would take on a GPU that is not here: its operations are run on tensors that have only shapes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import sdpa_flop_count

from mt4ssl.train.speed import flop_counter

SHARE = 0.37
"""Of the data sheet's arithmetic and bandwidth: an H200 reached 0.33 to 0.45 of both with base and large models of both
front-ends, in micro-batches of 237.5 s (benchmarks/NOTES.md)."""
FREE = ("aten::_unsafe_view", "aten::empty", "aten::empty_like", "prim::device")
"""Operations that move nothing, besides views."""


@dataclass(frozen=True)
class Gpu:
    """What a GPU's data sheet promises."""

    name: str
    flops: float
    """A second, of dense matrix products in bf16 that are added up in fp32."""
    bandwidth: float
    """Bytes a second."""

    def seconds(self, work: Callable[[], Any]) -> float:
        """Return how long `work`, on shapes alone, would take (see `shapes_alone`), and the backward pass after it.

        Backwards, an operation is taken to last twice as long as forwards: it has two products for each one. It has no
        backward pass where nothing that it reads needs a gradient, as in a frozen front-end.
        """
        with Roofline(self) as roofline, FusedAttention(roofline):
            work()
        return roofline.seconds / SHARE


GPUS = {
    "4090": Gpu("GeForce RTX 4090", 165e12, 1.01e12),
    "a100": Gpu("A100 SXM, 80 GB", 312e12, 2.04e12),
    "h100": Gpu("H100 SXM", 989e12, 3.35e12),
    "h200": Gpu("H200 SXM", 989e12, 4.8e12),
    "l40s": Gpu("L40S", 362e12, 0.864e12),
}


class Roofline(TorchDispatchMode):
    """Adds up the least time of every operation: its arithmetic's or, if that is longer, that of the bytes it moves."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu, self.seconds = gpu, 0.0
        self.counts = flop_counter().flop_registry

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.name() not in FREE:
            count = self.counts.get(func.overloadpacket)
            self.add(count(*args, **(kwargs or {}), out_val=result) if count else 0, (args, kwargs, result))
        return result

    def add(self, flops: float, moved: Any) -> None:
        """Add an operation of so many FLOPs, which reads and writes the tensors in `moved`."""
        tensors = [leaf for leaf in tree_leaves(moved) if isinstance(leaf, Tensor)]
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        backwards = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        passes = 3 if backwards else 1
        self.seconds += passes * max(flops / self.gpu.flops, size / self.gpu.bandwidth)


class FusedAttention(TorchFunctionMode):
    """Has attention counted as the one kernel that it is on a GPU; shapes alone are given to its parts."""

    def __init__(self, roofline: Roofline) -> None:
        super().__init__()
        self.roofline = roofline

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        learns = torch.is_grad_enabled() and any(x.requires_grad for x in args[:3])
        result = torch.empty_like(args[0], requires_grad=learns)
        self.roofline.add(sdpa_flop_count(*(x.shape for x in args[:3])), (args, kwargs, result))
        return result


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Put all tensors that are created inside on a GPU that need not be there, and give them no memory.

    torch cannot go backwards through them, and they have no values, on which anything could depend. Matrix products are
    in bf16.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")  # to copy the teacher
        # torch.autocast itself does nothing without a GPU.
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.set_autocast_enabled("cuda", True)
        try:
            yield
        finally:
            torch.set_autocast_enabled("cuda", False)
