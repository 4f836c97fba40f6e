"""CTC against a sum over all alignments."""

import itertools

import numpy as np
import torch

from mt4ssl.models.ctc import CtcConfig, CtcModel, channel_mask, ctc_loss
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig

MODEL = ModelConfig(
    FrontendConfig("fbank", 24, [3, 3], [2, 2]),
    EncoderConfig(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4),
)


def test_loss_is_the_sum_over_all_paths():
    log_probs = torch.randn(1, 5, 3).log_softmax(-1)
    total = torch.stack(
        [
            log_probs[0, range(5), list(path)].sum()
            for path in itertools.product(range(3), repeat=5)
            if [k for k, _ in itertools.groupby(path) if k] == [1, 2, 2]
        ]
    ).logsumexp(0)
    loss = ctc_loss(log_probs, torch.tensor([5]), torch.tensor([[1, 2, 2]]), torch.tensor([3]))
    torch.testing.assert_close(loss, -total)


def test_slots_multiply_frames():
    model = CtcModel(MODEL, CtcConfig(slots=2), vocab_size=5).eval()
    log_probs, lengths = model(torch.randn(2, 80, 80), torch.tensor([80, 41]))
    assert log_probs.shape == (2, 40, 5) and lengths.tolist() == [40, 22]
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 40))


def test_batching_changes_nothing():
    model = CtcModel(MODEL, CtcConfig(), vocab_size=5).eval()
    long, short = torch.randn(1, 90, 80), torch.randn(1, 50, 80)
    batch = torch.cat([long, torch.nn.functional.pad(short, (0, 0, 0, 40))])
    together, lengths = model(batch, torch.tensor([90, 50]))
    alone, _ = model(short, torch.tensor([50]))
    torch.testing.assert_close(together[1:, : lengths[1]], alone, rtol=1e-4, atol=1e-5)


def test_masks_hide_frames_and_channels():
    model = CtcModel(MODEL, CtcConfig(), vocab_size=5).eval()
    everything = torch.ones(1, 20, dtype=torch.bool)
    first, _ = model(torch.randn(1, 80, 80), torch.tensor([80]), time_mask=everything)
    second, _ = model(torch.randn(1, 80, 80), torch.tensor([80]), time_mask=everything)
    torch.testing.assert_close(first, second)
    config = CtcConfig(channel_mask_prob=0.5, channel_mask_length=8)
    shares = [channel_mask(4, 64, config, np.random.default_rng(seed)).mean() for seed in range(50)]
    assert 0.3 < np.mean(shares) < 0.5
