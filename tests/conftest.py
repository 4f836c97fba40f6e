"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with whole recipes, which take longest, so that both processes of a run end together."""
    items.sort(key=lambda item: item.path.name not in ("test_recipe.py", "test_walkthrough.py"))


@pytest.fixture(scope="session")
def k2_python() -> str:
    """Path of the interpreter that has k2."""
    recorded = ROOT / ".k2python"
    python = recorded.read_text().strip() if recorded.exists() else os.environ.get("MT4SSL_K2_PYTHON")
    if not python:
        pytest.skip("no k2: run tools/install_k2.sh")
    return python
