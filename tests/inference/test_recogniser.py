"""A recogniser that searches with k2: what that fails at is named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mt4ssl import Recogniser
from mt4ssl.errors import UserError

MODEL = Path(__file__).parent / "version_0.1/ctc"


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_file_that_k2_fails_at_is_one_line(tmp_path, error):
    """k2 has an environment of its own, as a rule: its words, where memory was short, are in place of it."""

    def search(log_probs):
        assert log_probs.shape == (25, 5)
        raise error("[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory\nframe #0")

    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    recogniser = Recogniser(MODEL)
    recogniser.search = search
    with pytest.raises(UserError) as caught:
        recogniser.transcribe(path)
    assert str(caught.value).startswith(f"k2 fails at {path} ([enforce fail") and "\n" not in str(caught.value)
    assert str(caught.value).endswith("can't allocate memory): cut it into parts, or give it more memory")
