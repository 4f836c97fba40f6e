"""The moving codebook against numbers of the official DinoSR."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mt4ssl.targets.base import Clean
from mt4ssl.targets.codebook import Codebook

# Five updates of a codebook of 12 codes by models/dinosr.py (5a38d5e), from results of a teacher's layer (5, 2, 15, 8):
# labels of the masked frames, and the codebook after the last update. Three to seven codes get no frame each time.
REFERENCE = {
    name: torch.from_numpy(array) for name, array in np.load(Path(__file__).with_name("dinosr_codebook.npz")).items()
}


def codebook(start=None):
    module = Codebook(teacher_layer=2, classes=12, decay=0.9, dim=8)
    module.load_state_dict({"sums": REFERENCE["codes"] if start is None else start, "counts": torch.ones(12)})
    return module


def clean(results, mask):
    teacher = [torch.full_like(results, torch.nan), results]
    return Clean(torch.zeros(()), None, {}, 0, None, teacher, mask.flatten().nonzero()[:, 0])


def updates():
    return zip(REFERENCE["results"], REFERENCE["masks"])


def test_five_updates_of_dinosr():
    module = codebook()
    for step, (results, mask) in enumerate(updates()):
        labels = module(clean(results, mask))
        assert labels[mask].tolist() == REFERENCE[f"labels{step}"].tolist()
        counts = np.bincount(REFERENCE[f"labels{step}"], minlength=12)
        shares = counts[counts > 0] / counts.sum()
        perplexity = module.finish_update()["perplexity"].item()
        assert perplexity == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
    torch.testing.assert_close(module.sums, REFERENCE["sums"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(module.counts, REFERENCE["counts"])


def test_micro_batches_move_codes_as_one():
    together, parts = codebook(), codebook()
    for results, mask in updates():
        together(clean(results, mask))
        for row in (0, 1):
            parts(clean(results[row : row + 1], mask[row : row + 1]))
        together.finish_update(), parts.finish_update()
    torch.testing.assert_close(parts.sums, together.sums)
    torch.testing.assert_close(parts.counts, together.counts)


def test_validation_moves_nothing():
    module = codebook().eval()
    for results, mask in updates():
        module(clean(results, mask))
    assert not any(sums.any() for sums in module.update_sums())


def test_codes_start_as_normalised_noise():
    codes = Codebook(teacher_layer=1, classes=50, decay=0.9, dim=4).sums
    torch.testing.assert_close(codes.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(codes.var(0, unbiased=False), torch.ones(4), rtol=0, atol=1e-3)


def test_autocast_changes_no_label():
    results, mask = next(updates())
    with torch.autocast("cpu", torch.bfloat16):
        labels = codebook()(clean(results, mask))
    assert labels[mask].tolist() == REFERENCE["labels0"].tolist()
