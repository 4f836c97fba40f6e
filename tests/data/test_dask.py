"""Shards behind a real Dask scheduler are what they are on this machine, also where a worker is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster
from lhotse import CutSet
from tones import tone_corpus

from mt4ssl.data.features import compute_features
from mt4ssl.data.parallel import SCHEDULER, cached_map
from mt4ssl.errors import UserError


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CutSet:
    monkeypatch.setattr("mt4ssl.data.shards.SHARD_SIZE", 1)
    (tmp_path / "tones").mkdir()
    return CutSet.from_file(tone_corpus(tmp_path / "tones", utterances=12).cuts)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.lca")}


def ids_in(manifests: list[Path]) -> list[str]:
    return list(CutSet.from_files(manifests, shuffle_iters=False).ids)


def kill_a_worker(cluster: LocalCluster, folder: Path) -> None:
    """Kill one of the workers once the first shard is there."""
    with Client(cluster) as client:
        process = next(iter(client.run(os.getpid).values()))
    while not contents(folder):
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)


def test_features_are_the_same_with_a_worker_killed_midway(
    cluster: LocalCluster, cuts: CutSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = compute_features(cuts, len(cuts), "these", "fbank", tmp_path / "here", jobs=1)
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    killer = threading.Thread(target=kill_a_worker, args=(cluster, tmp_path / "there"))
    killer.start()
    # A path that is relative to the folder of this process:
    there = compute_features(cuts, len(cuts), "these", "fbank", Path("there"), jobs=1)
    killer.join()
    assert contents(tmp_path / "there") == contents(tmp_path / "here") and len(contents(tmp_path / "here")) == 12
    assert ids_in(there) == ids_in(here) == list(cuts.ids)


def test_an_error_of_a_worker_is_that_of_its_file(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    assert cached_map(abs, {"a": -1, "b": 2}, tmp_path / "cache.jsonl", 1, "numbers") == {"a": 1, "b": 2}
    with pytest.raises(TypeError, match="str"):
        cached_map(abs, {"c": "three"}, tmp_path / "cache.jsonl", 1, "numbers")


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER, "tcp://127.0.0.1:9")
    patient = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with patient, pytest.raises(UserError, match="--dask tcp://127.0.0.1:9: no Dask scheduler answers"):
        cached_map(abs, {"a": 1}, tmp_path / "cache.jsonl", 1, "numbers")
