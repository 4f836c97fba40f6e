"""Lhotse manifests, as Lhotse writes them."""

import gzip
import shutil

import numpy as np
import pytest
from corpora import noise, tones, write_audio
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet, load_manifest


@pytest.fixture
def data(stage1):
    """Manifests of two recordings of two seconds, with three utterances."""
    folder = stage1.folder / "data"
    folder.mkdir()
    recordings = [Recording.from_file(write_audio(folder / f"audio/{name}.wav", noise(2))) for name in ("r1", "r2")]
    supervisions = [
        SupervisionSegment("a", "r1", 0.25, 0.75, text="one", speaker="A"),
        SupervisionSegment("b", "r1", 1.0, 0.75, text="two", speaker="A"),
        SupervisionSegment("c", "r2", 0.0, 2.0, text="three", speaker="B", gender="f"),
    ]
    RecordingSet.from_recordings(recordings).to_file(folder / "cv_recordings_train.jsonl.gz")
    SupervisionSet.from_segments(supervisions).to_file(folder / "cv_supervisions_train.jsonl.gz")
    return folder


@pytest.mark.parametrize("name", ["train", "cv_train"])
def test_recordings_and_supervisions_stay_what_they_are(stage1, data, name):
    found = stage1.prepare({"lhotse": str(data), "name": name})
    assert list(found.recordings) == list(RecordingSet.from_file(data / "cv_recordings_train.jsonl.gz"))
    assert list(found.supervisions) == list(SupervisionSet.from_file(data / "cv_supervisions_train.jsonl.gz"))


def test_cuts(stage1, data):
    manifests = [data / f"cv_{kind}_train.jsonl.gz" for kind in ("recordings", "supervisions")]
    cuts = CutSet.from_manifests(RecordingSet.from_file(manifests[0]), SupervisionSet.from_file(manifests[1]))
    cuts = CutSet.from_cuts([*cuts.trim_to_supervisions(), next(iter(cuts)).pad(5)])
    cuts.to_file(data / "cuts_dev.jsonl.gz")
    found = stage1.prepare({"lhotse": str(data), "name": "dev"})
    expected = {cut.id: (cut.recording_id, cut.start, cut.duration, cut.supervisions[0].text) for cut in cuts[:3]}
    assert {item.id: (item.recording_id, item.start, item.duration, item.text) for item in found.supervisions} == (
        expected
    )
    assert set(found.reasons.values()) == {("its recording is no single file, URL or command", "rejected")}


def test_channels_of_their_own(stage1, data):
    audio = write_audio(data / "audio/call.wav", tones(8000, 440, 1000, seconds=2), 8000)
    supervisions = [
        SupervisionSegment(name, "call", 0.5, 1.5, channel, text=name)
        for name, channel in (("left", 0), ("right", 1), ("both", [0, 1]))
    ]
    RecordingSet.from_recordings([Recording.from_file(audio)]).to_file(data / "recordings_dev.jsonl")
    SupervisionSet.from_segments(supervisions).to_file(data / "supervisions_dev.jsonl")
    split, expected = {"lhotse": str(data), "name": "dev"}, tones(16000, 440, 1000, seconds=2)[8000:]
    found = stage1.prepare(split)
    assert found.report == []
    cuts = CutSet.from_manifests(found.recordings, found.supervisions).trim_to_supervisions(keep_overlapping=False)
    heard = {"left": expected[:, 0], "right": expected[:, 1], "both": expected.mean(axis=1)}
    assert {cut.supervisions[0].id for cut in cuts} == heard.keys()
    for cut in cuts:
        samples = cut.load_audio()
        assert samples.shape == (1, 24000)
        np.testing.assert_allclose(samples[0, 800:-800], heard[cut.supervisions[0].id][800:-800], atol=5e-3)
    found = stage1.prepare({**split, "channel": 1})
    assert set(found.supervisions.ids) == {"right", "both"}
    assert [row.file for row in found.report if row.done == "ignored"] == [f"{data}: left"]


def test_recordings_alone(stage1, data):
    (data / "cv_supervisions_train.jsonl.gz").unlink()
    found = stage1.prepare({"lhotse": str(data), "name": "train"})
    assert [(item.id, item.duration, item.text) for item in found.supervisions] == [("r1", 2, None), ("r2", 2, None)]


def test_audio_that_moved(stage1, data):
    shutil.move(data / "audio", stage1.folder / "new place")
    (stage1.folder / "new place").rename(stage1.folder / "audio")
    lost = stage1.prepare({"lhotse": str(data), "name": "train"})
    assert "3 x the audio file is missing" in lost.error
    found = stage1.prepare({"lhotse": str(data), "name": "train", "relative_to": str(stage1.folder)})
    assert len(found.supervisions) == 3


def test_commands_run_only_where_they_may(stage1, data):
    recordings = [item.to_dict() for item in RecordingSet.from_file(data / "cv_recordings_train.jsonl.gz")]
    for item in recordings:
        source = item["sources"][0]
        source |= {"type": "command", "source": f"cat '{source['source']}'"}
    RecordingSet.from_dicts(recordings).to_file(data / "cv_recordings_train.jsonl.gz")
    assert "add `commands: true`" in stage1.prepare({"lhotse": str(data), "name": "train"}).error
    assert len(stage1.prepare({"lhotse": str(data), "name": "train", "commands": True}).supervisions) == 3


def test_what_does_not_fit_together(stage1, data):
    recordings = load_manifest(data / "cv_recordings_train.jsonl.gz")
    faster = recordings["r2"].perturb_speed(1.1, affix_id=False)
    RecordingSet.from_recordings([faster]).to_file(data / "cv_recordings_train.jsonl.gz")
    found = stage1.prepare({"lhotse": str(data), "name": "train"})
    assert found.reasons == {
        "a": ("recording is not there", "rejected"),
        "b": ("recording is not there", "rejected"),
        "c": ("its recording has transforms: take the manifests of the plain audio", "rejected"),
    }


def test_broken_manifests(stage1, data):
    split, path = {"lhotse": str(data), "name": "train"}, data / "cv_supervisions_train.jsonl.gz"
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:-30]))  # a JSON line that breaks off
    assert f"{path} is broken after line 2" in stage1.prepare(split).error
    path.write_bytes(gzip.compress(whole)[:-30])
    assert f"{path} is broken after line" in stage1.prepare(split).error
    shutil.copy(data / "cv_recordings_train.jsonl.gz", path)
    assert f"{path} is broken after line 0 (Recording instead of" in stage1.prepare(split).error
    path.write_bytes(b"")
    assert f"{path} is broken after line 0" in stage1.prepare(split).error


def test_no_manifests(stage1, data):
    assert "neither *recordings_dev.jsonl.gz nor" in stage1.prepare({"lhotse": str(data), "name": "dev"}).error
    assert "is missing" in stage1.prepare({"lhotse": "nowhere", "name": "dev"}).error
    shutil.copy(data / "cv_recordings_train.jsonl.gz", data / "recordings_train.jsonl.gz")
    assert "are both called train" in stage1.prepare({"lhotse": str(data), "name": "train"}).error
