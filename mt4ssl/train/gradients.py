"""Gradients are added up over processes while the last backward pass of an update goes on."""

from __future__ import annotations

from collections import deque
from itertools import accumulate, groupby

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mt4ssl.train.processes import add_up, others_running

BUCKET = 25 * 2**20  # bytes of gradients that are sent at a time, as DistributedDataParallel does


def last_backward(model: nn.Module, loss: Tensor) -> None:
    """Go backwards from the loss of a process's last micro-batch of an update; its gradients become those of all.

    They are added up in buckets, while the backward pass goes on; a parameter that has none in any process keeps none.
    """
    if not dist.is_initialized():
        loss.backward()
        return
    # The backward pass comes to the last ones first, more or less.
    sums = GradientSums([p for p in reversed(list(model.parameters())) if p.requires_grad], parameters_of(loss))
    hooks = [p.register_post_accumulate_grad_hook(sums.take) for p in sums.parameters]
    loss.backward()
    for hook in hooks:
        hook.remove()
    sums.finish()


def parameters_of(loss: Tensor) -> set[Tensor]:
    """Return the parameters that the backward pass from a loss comes to: LayerDrop leaves out some."""
    nodes, ahead = set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node and node not in nodes:
            nodes.add(node)
            ahead.extend(next_node for next_node, _ in node.next_functions)
    return {node.variable for node in nodes if hasattr(node, "variable")}


class GradientSums:
    """Adds up gradients over processes, in buckets of parameters that all processes send in the same order.

    Args:
        parameters: that have gradients in some process, in an order that is the same in all.
        awaited: those of them whose gradients here are not complete yet.

    """

    def __init__(self, parameters: list[nn.Parameter], awaited: set[Tensor]) -> None:
        self.parameters, self.awaited = parameters, awaited
        ends = accumulate(p.nbytes for p in parameters)
        by_bucket = groupby(zip(ends, parameters), lambda pair: pair[0] // BUCKET)
        self.to_send = deque([p for _, p in pairs] for _, pairs in by_bucket)
        self.used: list[float] = []
        self.sent: list[dist.Work] = []

    def take(self, parameter: Tensor) -> None:
        """Take a parameter whose gradient is complete, and send what need not wait any longer."""
        self.awaited.discard(parameter)
        while self.to_send and self.awaited.isdisjoint(self.to_send[0]):
            self.send(self.to_send.popleft())

    def send(self, bucket: list[nn.Parameter]) -> None:
        """Start to add up the gradients of some parameters, which are one piece of memory from now on."""
        self.used += [float(p.grad is not None) for p in bucket]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in bucket])
        for parameter, gradient in zip(bucket, flat.split([p.numel() for p in bucket])):
            parameter.grad = gradient.view_as(parameter)
        with others_running():
            self.sent.append(dist.all_reduce(flat, async_op=True))

    def finish(self) -> None:
        """Send what is left, and wait for all sums."""
        while self.to_send:
            self.send(self.to_send.popleft())
        with others_running():
            for work in self.sent:
                work.wait()
        for parameter, count in zip(self.parameters, add_up(self.used)):
            if not count:
                parameter.grad = None
