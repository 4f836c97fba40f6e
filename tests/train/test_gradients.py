"""Gradients are added up over processes in buckets, which are sent while the backward pass goes on.

That two processes come to the sums of one, to the last bit, is seen in test_stopping.py.
"""

from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mt4ssl.train import gradients
from mt4ssl.train.gradients import last_backward


@pytest.fixture(autouse=True)
def one_process():
    """A group of this process alone, whose sums are its own values."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.ModuleList(nn.Linear(4, 4) for _ in range(5))


def loss_of(layers, numbers, at_first=lambda _: None):
    """A loss of some layers, one after the other; `at_first` is called when the backward pass comes to the first."""
    x = torch.arange(12.0).view(3, 4) / 10
    for number in numbers:
        x = layers[number](x).tanh()
        if number == numbers[0]:
            x.register_hook(at_first)
    return x.sum()


def have_gradients(layers):
    return [layer.weight.grad is not None for layer in layers]


@pytest.mark.parametrize("bucket", [1, 100, 10_000])
def test_sums_are_those_of_plain_backward_passes(layers, monkeypatch, bucket):
    """The last micro-batch leaves out layer 3, and both leave out layer 2; layer 1 does not learn."""
    monkeypatch.setattr(gradients, "BUCKET", bucket)
    layers[1].requires_grad_(False)
    plain = deepcopy(layers)
    for model, go_back in ((plain, torch.Tensor.backward), (layers, partial(last_backward, layers))):
        loss_of(model, [0, 1, 3, 4]).backward()
        go_back(loss_of(model, [0, 1, 4]))
    assert have_gradients(layers) == have_gradients(plain) == [True, False, False, True, True]
    for p, expected in zip(layers.parameters(), plain.parameters()):
        assert p.grad is expected.grad is None or torch.equal(p.grad, expected.grad)


def test_buckets_are_sent_while_the_backward_pass_goes_on(layers, monkeypatch):
    """Layers that are left out hold up nothing; they have gradients, of zero, from when they are sent to the end."""
    monkeypatch.setattr(gradients, "BUCKET", 1)
    at_first = []
    last_backward(layers, loss_of(layers, [0, 1, 4], lambda _: at_first.extend(have_gradients(layers))))
    assert at_first == [False, True, True, True, True]
    assert have_gradients(layers) == [True, True, False, False, True]
