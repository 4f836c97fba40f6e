"""Codes of BEST-RQ against those of vector_quantize_pytorch 1.32.0."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.targets.base import Clean, Student
from mt4ssl.targets.random_projection import RandomProjection, RandomProjectionTarget

# RandomProjectionQuantizer(dim=320, codebook_size=64, codebook_dim=16, norm=False) of fbank (2, 42, 80), normalised
# over each utterance, padded by zeros to 44 frames, and stacked by four: what it drew, and the codes that it gave.
REFERENCE = {name: torch.from_numpy(array) for name, array in np.load(Path(__file__).with_suffix(".npz")).items()}


def answers() -> RandomProjection:
    module = RandomProjection(320, 64, 16)
    module.load_state_dict({name: REFERENCE[name] for name in ("projection", "codes")})
    return module


def clean(fbank: torch.Tensor, lengths: list[int] | None) -> Clean:
    return Clean(fbank, None if lengths is None else torch.tensor(lengths), {}, 0, None, [], torch.tensor([]))


@pytest.mark.parametrize("lengths", [None, [42, 42]])
def test_codes_are_those_of_the_reference(lengths):
    codes = answers()(clean(REFERENCE["fbank"], lengths))
    assert codes.tolist() == REFERENCE["expected"].tolist()
    assert len(codes.unique()) > 10


def test_loudness_and_channel_change_no_code():
    """Scale and offset of each bin are normalised away."""
    codes = answers()(clean(REFERENCE["fbank"] * 3 + torch.linspace(-5, 5, 80), [42, 42]))
    assert codes.tolist() == REFERENCE["expected"].tolist()


def test_padding_changes_no_code():
    fbank = torch.nn.functional.pad(REFERENCE["fbank"], (0, 0, 0, 9), value=7.0)
    codes = answers()(clean(fbank, [42, 42]))
    assert codes[:, :11].tolist() == REFERENCE["expected"].tolist()


def test_autocast_changes_no_code():
    with torch.autocast("cpu", torch.bfloat16):
        codes = answers()(clean(REFERENCE["fbank"], [42, 42]))
    assert codes.tolist() == REFERENCE["expected"].tolist()


def test_waveforms_are_refused():
    with pytest.raises(UserError, match="set model.frontend.type to fbank"):
        RandomProjectionTarget("random_projection").make_answers(
            Student(dim=32, inputs=0, open_model=None, open_frontend=None)
        )
