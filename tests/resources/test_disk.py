"""A disk that is full, or read-only, in the stages that write most: a line, nothing half written, nothing lost; then it
goes on.

Stage 0 is in tests/recipes/test_librispeech.py, stage 5 in tests/train/test_resources.py, stage 10 in
tests/decode/test_k2.py, and the folders of a recipe in tests/shell/stage.bats.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, RecordingSet, SupervisionSet
from limits import error_of, read_only, room_for, with_mounts
from tones import tone_corpus

from mt4ssl.bin import compute_features, emit, make_labels
from mt4ssl.clustering.kmeans import KMeansConfig, save_kmeans
from mt4ssl.data.manifests import Manifests

FINETUNED = Path(__file__).parents[1] / "inference/version_0.1/finetune"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four utterances of about 18 s: their cuts need 6 kB, their log-probs 36 kB, their features hundreds."""
    return tone_corpus(tmp_path_factory.mktemp("long tones"), utterances=4, least_words=60)


@pytest.fixture
def features(corpus, tmp_path):
    """The verb of stage 2, its arguments, and a file that is too large."""
    cuts = list(CutSet.from_file(corpus.cuts))
    recordings = RecordingSet.from_recordings(cut.recording for cut in cuts)
    supervisions = SupervisionSet.from_segments(cut.supervisions[0] for cut in cuts)
    Manifests(recordings, supervisions).write(tmp_path / "manifests", "tones", "dev")
    names = ["--corpus", "tones", "--split", "dev", "--type", "fbank", "--nj", "1"]
    return compute_features, [*names, "--manifests", tmp_path / "manifests"], "feats_dev/00000.lca"


@pytest.fixture
def labels(corpus, tmp_path):
    """The verb of stage 4, its arguments, and a folder of files that are too large."""
    save_kmeans(tmp_path / "kmeans", np.eye(3, 39), 1.0, 3, KMeansConfig(clusters=3))
    cuts = ["--features", corpus.cuts, "--cuts", corpus.cuts]
    return make_labels, ["--kmeans", tmp_path / "kmeans", *cuts, "--split", "dev"], "kmeans_dev"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "stage, room, again",
    [
        ("features", 20_000, "supervisions_dev.jsonl.gz to "),  # of which stage 2 needs a copy in $TMPDIR
        ("labels", 1000, " cannot be written (File too large): raise the limit"),
    ],
)
def test_in_stages_2_and_4(request, stage, room, again, tmp_path, monkeypatch):
    verb, arguments, large = request.getfixturevalue(stage)
    out = tmp_path / "out"
    arguments += ["--out", out / "cuts.jsonl.gz" if stage == "labels" else out]
    monkeypatch.setattr("sys.argv", ["", *map(str, arguments)])
    with room_for(room):
        line = error_of(verb.main)
    assert f"{out / large}" in line and " cannot be written (" in line
    assert [path.name for path in contents(out)] == ["origin.txt"]  # which is whole
    assert error_of(verb.main) == ""
    before = contents(out)
    assert any(large in str(path) for path in before)
    with room_for(100):  # the arrays are there, the cuts are not
        assert again in error_of(verb.main)
    after = contents(out)
    assert after == before
    assert error_of(verb.main) == ""


@pytest.fixture
def model(tmp_path):
    """A fine-tuned model of one checkpoint."""
    folder = shutil.copytree(FINETUNED, tmp_path / "model")
    shutil.copy(folder / "averaged-2.pt", folder / "final.pt")
    (folder / "averaged-2.pt").rename(folder / "step-1.pt")
    return folder


def test_in_stage_9(model, corpus, monkeypatch):
    arguments = ["--model", model, "--avg", "1", "--cuts", corpus.cuts, "--split", "dev"]
    monkeypatch.setattr("sys.argv", ["", *map(str, arguments)])
    before = contents(model)
    with room_for(20_000):
        assert f"{model}/averaged-1.pt cannot be written (" in error_of(emit.main)
    assert contents(model) == before
    with room_for(30_000):
        assert f"{model}/log_probs/dev.ark cannot be written (" in error_of(emit.main)
    assert contents(model).keys() - before.keys() == {Path("averaged-1.pt")}
    assert error_of(emit.main) == ""
    before = contents(model)
    with room_for(30_000):
        assert f"{model}/log_probs/dev.ark cannot be written (" in error_of(emit.main)
    with room_for(1000):  # too little for the manifest in $TMPDIR
        line = error_of(emit.main)
    assert f"cannot copy {corpus.cuts} to " in line and "make room, or set TMPDIR" in line
    assert contents(model) == before


def check_read_only(folder, verb, line):
    """The verb ends with the line while the folder is read-only, changes nothing in it, and then does its work."""
    before = contents(folder)
    with read_only(folder):
        assert error_of(verb.main) == line
    assert contents(folder) == before
    assert error_of(verb.main) == ""


def read_only_line(path):
    return f"error: {path} cannot be written (Read-only file system): make it writable, and run it again"


@pytest.mark.parametrize("stage", ["features", "labels"])
@with_mounts
def test_a_read_only_disk_in_stages_2_and_4(request, stage, tmp_path, monkeypatch):
    verb, arguments, large = request.getfixturevalue(stage)
    out = tmp_path / "out"
    out.mkdir()
    manifest = out / ("cuts.jsonl.gz" if stage == "labels" else "tones_cuts_dev.jsonl.gz")
    monkeypatch.setattr("sys.argv", ["", *map(str, [*arguments, "--out", manifest if stage == "labels" else out])])
    check_read_only(out, verb, read_only_line(out / Path(large).parts[0] / "origin.txt"))
    check_read_only(out, verb, read_only_line(manifest))


@with_mounts
def test_a_read_only_disk_in_stage_9(model, corpus, monkeypatch):
    arguments = ["--model", model, "--avg", "1", "--cuts", corpus.cuts, "--split", "dev"]
    monkeypatch.setattr("sys.argv", ["", *map(str, arguments)])
    check_read_only(model, emit, read_only_line(model / "averaged-1.pt"))
    check_read_only(model, emit, read_only_line(model / "log_probs/dev.ark"))
