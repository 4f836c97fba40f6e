"""benchmarks/gpu.sh with tiny sizes on CPU, where what the machine with the GPU lacks cannot be imported."""

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.sh"
LACKING = ["lhotse", "kaldiio", "faiss", "transformers", "torchaudio", "soundfile"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu bench")
    for name in LACKING:
        (folder / f"{name}.py").write_text("raise ImportError('not on the machine with the GPU')\n")
    out = folder / "out" / "gpu.json"
    environment = {**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([SCRIPT, "--tiny", "--out", out], env=environment, check=True, cwd=folder)
    return json.loads(out.read_text())


def test_everything_is_measured(result):
    assert "FAILED" not in result["tables"] and "left out" not in result["tables"]
    units = {row["unit"] for row in result["rows"]}
    assert {"TFLOP/s", "audio s/s", "% of the matrix peak", "GPU-hours", "waits in a micro-batch"} <= units
    assert all(row["ours"] > 0 for row in result["rows"] if row["unit"] in ("audio s/s", "GPU-hours"))


def test_hours_follow_from_speed(result):
    rows = {(row["work"], row["unit"]): row["ours"] for row in result["rows"]}
    name = "MT4SSL base, fbank, bf16, 2 x 2 s"
    assert rows[name, "GPU-hours"] > 400_000 * 3800 / rows[name, "audio s/s"] / 3600


def test_loss_curve_in_fp32_is_the_cpus(result):
    curves = {row["work"]: row["ours"] for row in result["rows"] if row["work"].startswith("loss curve")}
    assert curves["loss curve, tiny, fbank, float32, 100 updates"] == 0.0
    assert 0 < curves["loss curve, tiny, fbank, bfloat16, 100 updates"] < 5
