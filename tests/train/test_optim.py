"""The tri-stage schedule."""

import math

import pytest

from mt4ssl.train.optim import OptimConfig


def test_three_stages():
    schedule = OptimConfig(warmup=0.1, hold=0.4, final_scale=0.05)
    assert schedule.scale(0, 1000) == pytest.approx(0.01)
    assert schedule.scale(50, 1000) == pytest.approx(0.505)
    assert schedule.scale(100, 1000) == schedule.scale(499, 1000) == 1.0
    assert schedule.scale(750, 1000) == pytest.approx(math.sqrt(0.05))
    assert schedule.scale(1000, 1000) == pytest.approx(0.05)
