"""Audio at URLs: a web server in this process."""

import socketserver
from functools import partial
from http.server import SimpleHTTPRequestHandler
from threading import Thread

import numpy as np
import pytest
import soundfile
from corpora import noise
from lhotse import CutSet, Recording, RecordingSet

from mt4ssl.data import audio
from mt4ssl.data.loading import load_input
from mt4ssl.data.signals import FBANK


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The URL of a server with clips of two seconds, a long one, and what is no audio."""
    folder = tmp_path_factory.mktemp("site")
    for name, samples, rate in (("a", noise(2), 16000), ("b", noise(2, 8000, 2), 8000), ("c d", noise(125), 16000)):
        soundfile.write(folder / f"{name}.flac", samples, rate)
    (folder / "text.flac").write_text("no audio")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def table(stage1, content, **options):
    (stage1.folder / "all.tsv").write_text(content)
    return {"table": str(stage1.folder / "all.tsv"), **options}


def test_a_table_of_urls(stage1, site):
    names = "".join(f"{site}/{name}.flac\t\n" for name in ("a", "b", "lost", "text"))
    found = stage1.prepare(table(stage1, f"audio\tstart\n{names}{site}/a.flac\t0.5\n"))
    assert [(item.id, item.start, item.duration) for item in found.supervisions] == [
        ("a", 0, 2),
        ("a-row-000005", 0.5, 1.5),
        ("b", 0, 2),
    ]
    np.testing.assert_allclose(found.load("a")[0], noise(2)[:, 0], atol=1e-4)
    np.testing.assert_allclose(found.load("a-row-000005")[0], noise(2)[8000:, 0], atol=1e-4)
    assert found.load("b").shape == (1, 32000)  # two channels at 8 kHz
    assert {name: reason for name, (reason, done) in found.reasons.items() if done == "rejected"} == {
        "lost": "the URL cannot be read",
        "text": "libsndfile cannot read what is at the URL",
    }
    (lost,) = (row for row in found.report if row.id == "lost")
    assert "404" in lost.detail
    cut = CutSet.from_manifests(found.recordings, found.supervisions)["a-0"]
    assert load_input(cut, FBANK).shape == (200, 80)


@pytest.mark.parametrize("end", ["", "/"])
def test_paths_relative_to_a_url(stage1, site, end):
    found = stage1.prepare(table(stage1, "audio\na.flac\n", relative_to=f"{site}{end}"))
    assert found.recordings["a"].sources[0].source == f"{site}/a.flac" and found.report == []


def test_manifests_and_kaldi_directories_may_have_urls(stage1, site):
    recording = Recording.from_dict(
        {
            "id": "a",
            "sources": [{"type": "url", "channels": [0], "source": f"{site}/a.flac"}],
            "sampling_rate": 16000,
            "num_samples": 32000,
            "duration": 2.0,
        }
    )
    (stage1.folder / "lists").mkdir()
    RecordingSet.from_recordings([recording]).to_file(stage1.folder / "lists/recordings_dev.jsonl")
    (stage1.folder / "lists/wav.scp").write_text(f"a {site}/a.flac\n")
    lists = str(stage1.folder / "lists")
    for split in ({"lhotse": lists, "name": "dev"}, {"kaldi": lists}):
        found = stage1.prepare(split)
        assert found.report == [] and list(found.recordings) == [recording]


def test_long_recordings_are_said_to_be_slow(stage1, site):
    found = stage1.prepare(table(stage1, f"audio\n{site}/c d.flac\n"))
    assert found.reasons["c_d"][0] == "all of it is read for each utterance"


def test_without_smart_open(stage1, monkeypatch):
    monkeypatch.setattr(audio, "find_spec", lambda name: None)
    found = stage1.prepare(table(stage1, "audio\ns3://speech/a.flac\n"))
    assert found.error == "s3://speech/a.flac cannot be read: pip install 'smart_open[s3]' (or [gcs], [azure], [http])"
