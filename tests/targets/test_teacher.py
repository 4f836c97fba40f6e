"""The teacher's schedule and its target."""

import pytest
import torch
import torch.nn.functional as F

from mt4ssl.targets.teacher import EmaConfig, teacher_target


def test_decay_is_linear_then_constant():
    ema = EmaConfig(0.999, 0.9999, 30000)
    assert ema.at(0) == pytest.approx(0.999)
    assert ema.at(15000) == pytest.approx(0.99945)
    assert ema.at(30000) == ema.at(10**6) == 0.9999


def test_target_without_padding():
    results = [torch.randn(2, 30, 8) for _ in range(4)]
    expected = sum(F.instance_norm(r.transpose(1, 2)).transpose(1, 2) for r in results[-3:]) / 3
    torch.testing.assert_close(teacher_target(results, 3, None), expected)


def test_padding_does_not_touch_the_statistics():
    result = torch.randn(1, 20, 8)
    padded = torch.cat([result, torch.full((1, 9, 8), 50.0)], dim=1)
    target = teacher_target([padded], 1, torch.arange(29)[None] >= 20)
    torch.testing.assert_close(target[:, :20], teacher_target([result], 1, None), rtol=1e-4, atol=1e-5)
