"""Fixtures of the tests of data."""

import pytest
from corpora import Stage1


@pytest.fixture
def stage1(tmp_path):
    """Stage 1, in a folder with a space in its name."""
    (tmp_path / "a corpus").mkdir()
    return Stage1(tmp_path / "a corpus")
