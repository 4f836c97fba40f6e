"""Losses against numpy."""

import numpy as np
import torch

from mt4ssl.targets.losses import masked_cross_entropy, masked_regression, mean_std


def test_cross_entropy_is_a_sum():
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    expected = -np.log(p[range(6), labels]).sum()
    np.testing.assert_allclose(masked_cross_entropy(logits, labels), expected, rtol=1e-5)


def test_regression_is_scaled_by_the_root_of_the_dimension():
    prediction, target = torch.randn(5, 16), torch.randn(5, 16)
    expected = ((prediction - target).numpy() ** 2).sum() / 4
    np.testing.assert_allclose(masked_regression(prediction, target), expected, rtol=1e-5)


def test_std_shows_collapse():
    assert mean_std(torch.ones(10, 4)) < 0.01
    assert abs(mean_std(torch.randn(5000, 4)) - 1) < 0.05
