"""egs/librispeech before anything heavy: the plan without data, and a copy of the corpus that is there."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import tarfile
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
import soundfile
from lhotse import load_manifest
from limits import error_of, room_for

from mt4ssl.errors import UserError

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/librispeech"
PARTS = ["train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other"]


def run(*options: str | Path) -> str:
    """Run the recipe; return what it prints."""
    command = [RECIPE / "run.sh", *options]
    result = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_dry_run_shows_every_stage_and_runs_none(tmp_path: Path) -> None:
    small = (
        "--model.frontend.dim 8 --model.encoder.dim 32 --model.encoder.ffn_dim 32 --model.encoder.heads 4 "
        "--model.encoder.pos_conv_groups 4"
    )
    folders = ["--dl-dir", tmp_path / "no data", "--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "my exp"]
    options = ["--dry-run", "true", "--ngpu", "4", "--km-iter", "1", "--unit", "phone", "--pretrain-args", small]
    output = run(*options, *folders)
    assert not list(tmp_path.iterdir())
    stages = [int(number) for number in re.findall(r"^stage (\d+) ", output, flags=re.MULTILINE)]
    assert set(stages) == set(range(13))
    cuts = f"{tmp_path}/data/kmeans/iter1/librispeech_cuts"
    labels = [f"input    {cuts}_{split}.jsonl.gz\n" for split in ("train-960", "dev-other")]
    assert f"{'  '.join(labels)}  output   {tmp_path}/my exp/pretrain/mt4ssl_iter1" in output
    assert "command  'torchrun' '--standalone' '--nproc-per-node' '4' '-m' 'mt4ssl.bin.pretrain'" in output
    lexicon = f"{tmp_path}/no data/lm/librispeech-lexicon.txt"
    assert f"'--unit' 'phone' '--lexicon' '{lexicon}' '--out' '{tmp_path}/data/lang_phone'" in output
    assert f"output   {tmp_path}/my exp/finetune/mt4ssl_phone_train-10h" in output
    assert output.count("global batch  ") == 3  # pre-training, fine-tuning with and without it
    assert output.count("4 x 237.5 s in each process") == 1
    assert output.count("2 x 200 s in each process") == 2
    assert len(re.findall(r"projected +[\d.]+ hours", output)) == 3


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with an utterance for each part of LibriSpeech, Libri-Light's lists of them, and a language model."""
    folder = tmp_path / "a copy"
    rng = np.random.default_rng(0)
    for number, part in enumerate(PARTS):
        chapter = folder / f"LibriSpeech/{part}/{number}/1"
        chapter.mkdir(parents=True)
        soundfile.write(chapter / f"{number}-1-0000.flac", rng.normal(size=16000) * 0.1, 16000)
        (chapter / f"{number}-1.trans.txt").write_text(f"{number}-1-0000 A TEST\n")
    for set_name, number in (("1h/0/clean", 0), ("1h/1/other", 2), ("9h/clean", 1)):
        chapter = folder / f"librispeech_finetuning/{set_name}/{number}/1"
        chapter.mkdir(parents=True)
        (chapter / f"{number}-1-0000.flac").touch()
    (folder / "lm").mkdir()
    (folder / "lm/librispeech-lexicon.txt").write_text("A\tAH0\nA\tEY1\nTEST\tT EH1 S T\n")
    for name in ("3-gram.pruned.1e-7", "4-gram"):
        with gzip.open(folder / f"lm/{name}.arpa.gz", "wt") as file:
            file.write("\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <s>\n-1 </s>\n-1 A\n-1 TEST\n\n\\end\\\n")
    return folder


def test_an_existing_copy_is_read_where_it_is(copy: Path, tmp_path: Path) -> None:
    folders = ["--dl-dir", copy, "--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "exp", "--nj", "1"]
    output = run("--stage", "0", "--stop-stage", "1", *folders)
    assert "Needed on disk:" in output
    corpus, manifests = copy / "librispeech", tmp_path / "data/manifests"
    names = ("10m", "1h", "10h", "100h")
    subsets = {name: load_manifest(manifests / f"librispeech_supervisions_train-{name}.jsonl.gz") for name in names}
    assert {name: [segment.id for segment in subset] for name, subset in subsets.items()} == {
        "10m": ["0-1-0000"],
        "1h": ["0-1-0000", "2-1-0000"],
        "10h": ["0-1-0000", "1-1-0000", "2-1-0000"],
        "100h": ["0-1-0000"],
    }
    assert (corpus / "lm.txt").read_text() == "A\nTEST\n"
    assert (corpus / "4gram.arpa").read_text().startswith("\\data\\")
    (recording,) = load_manifest(manifests / "librispeech_recordings_train-960.jsonl.gz").filter(
        lambda r: r.id == "2-1-0000"
    )
    assert recording.sources[0].source == str(copy / "LibriSpeech/train-other-500/2/1/2-1-0000.flac")
    assert "up to date" in run("--stage", "0", "--stop-stage", "0", *folders)


@pytest.fixture
def download() -> ModuleType:
    """utils/download.py."""
    spec = importlib.util.spec_from_file_location("download", ROOT / "utils/download.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_connection_that_ends_too_early_is_continued(download: ModuleType, tmp_path: Path) -> None:
    content, asked = bytes(range(256)) * 40, []

    class ShortAnswers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            asked.append(start)
            self.send_response(206)
            self.end_headers()
            self.wfile.write(content[start : start + 4096])

    with HTTPServer(("localhost", 0), ShortAnswers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        checksum = hashlib.sha256(content).hexdigest()
        download.fetch(f"http://localhost:{server.server_port}/a", checksum, tmp_path / "got")
        server.shutdown()
    assert (tmp_path / "got").read_bytes() == content
    assert asked == [0, 4096, 8192]


def test_a_failed_or_wrong_download_is_one_line(download: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "source.tar.gz"
    with pytest.raises(UserError, match="cannot download file:.*source.tar.gz .*: run again to go on, or put it into"):
        download.fetch(source.as_uri(), "0", tmp_path / "got.tar.gz")
    source.write_bytes(b"what it should be")
    with pytest.raises(UserError, match="came with a wrong SHA-256 and was removed"):
        download.fetch(source.as_uri(), "0", tmp_path / "got.tar.gz")
    assert not (tmp_path / "got.tar.gz").exists()
    download.fetch(source.as_uri(), download.file_checksum(source), tmp_path / "got.tar.gz")
    assert (tmp_path / "got.tar.gz").read_bytes() == b"what it should be"


def archive(download: ModuleType, path: Path, member: tarfile.TarInfo, content: bytes = b"") -> tuple:
    """A part of a corpus: an archive of the folder "part", and with one more member."""
    with tarfile.open(path, "w:gz") as tar:
        for info, data in ((tarfile.TarInfo("part/good"), b"good"), (member, content)):
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return download.Part("part", path.as_uri(), download.file_checksum(path))


def linked(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("part/../../outside"),
        linked("part/link", "../../outside"),
        linked("part/link", "/etc/passwd"),
        linked("part/link", "../outside", tarfile.LNKTYPE),
        linked("part/device", "", tarfile.CHRTYPE),
    ],
)
def test_an_archive_writes_into_its_folder_alone(download: ModuleType, tmp_path: Path, member: tarfile.TarInfo) -> None:
    part = archive(download, tmp_path / "source.tar.gz", member)
    with pytest.raises(
        UserError, match="source.tar.gz is no archive to trust .*: remove it, and see where it came from"
    ):
        download.obtain(tmp_path / "dl", part)
    assert [path.name for path in (tmp_path / "dl").rglob("*")] == ["archives", "source.tar.gz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dl", "source.tar.gz"]


def test_an_absolute_name_in_an_archive_is_one_inside_of_it(download: ModuleType, tmp_path: Path) -> None:
    part = archive(download, tmp_path / "source.tar.gz", tarfile.TarInfo(f"{tmp_path}/outside"))
    download.obtain(tmp_path / "dl", part)
    assert (tmp_path / "dl/part/good").read_text() == "good"
    assert not (tmp_path / "outside").exists()


def test_a_full_disk_while_something_is_downloaded_or_unpacked(download: ModuleType, tmp_path: Path) -> None:
    large = np.random.default_rng(0).bytes(100_000)
    for content, line in (
        (large, "error: cannot download file:.*File too large"),
        (bytes(100_000), "error: cannot unpack .*source.tar.gz .*File too large"),
    ):
        part = archive(download, tmp_path / "source.tar.gz", tarfile.TarInfo("part/large"), content)
        obtain = partial(download.obtain, tmp_path / f"dl{content[0]}", part)
        with room_for(10_000):
            assert re.match(line, error_of(obtain))
        assert not (tmp_path / f"dl{content[0]}/part").exists()
        shutil.rmtree(tmp_path / f"dl{content[0]}/archives")  # a file: cannot be continued, as https: is
        obtain()
        assert (tmp_path / f"dl{content[0]}/part/large").read_bytes() == content
