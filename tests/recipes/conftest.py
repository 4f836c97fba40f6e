"""Recipes run their verbs in forks of a process that has torch already; see warm_python.py."""

import os
from collections.abc import Iterator

import pytest
import warm_python


@pytest.fixture(scope="package", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let bash run verbs so in all tests of this folder."""
    server, variables = warm_python.start(tmp_path_factory.mktemp("warm"))
    os.environ.update(variables)
    yield
    for name in variables:
        del os.environ[name]
    server.kill()
    server.wait()
