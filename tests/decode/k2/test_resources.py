"""A disk that takes no more of a graph; the lattices in $TMPDIR are written so too."""

import resource

import k2
import pytest

from mt4ssl.decode.graph import load_graph, save_graph
from mt4ssl.errors import UserError


def test_a_full_disk_leaves_the_graph_before(tmp_path):
    path, long = tmp_path / "HLG.pt", k2.linear_fsa(list(range(1, 5000)))
    save_graph(k2.linear_fsa([1, 2, 3]), path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # in place of a full disk: it needs no rights
    try:
        with pytest.raises(UserError, match="HLG.pt cannot be written .File too large"):
            save_graph(long, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["HLG.pt"]
    save_graph(long, path)
    assert len(load_graph(path).labels) == 5000
