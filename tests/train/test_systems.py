"""Every config that lies over a recipe's pre-training takes two steps, shrunk by overrides alone."""

import sys
from pathlib import Path

import pytest
from tones import tone_corpus

from mt4ssl.bin import pretrain
from mt4ssl.results import read_log

EGS = Path(__file__).parents[2] / "egs"
BASES = {"mini_librispeech": "pretrain", "librispeech": "pretrain_base"}
OTHERS = ("pretrain", "finetune", "kmeans", "corpus")
SYSTEMS = [
    (recipe, path.stem)
    for recipe in BASES
    for path in sorted(EGS.glob(f"{recipe}/conf/*.yaml"))
    if path.stem.split("_")[0] not in OTHERS
]
SMALL = (
    "--model.frontend.dim 8 --model.encoder.dim 32 --model.encoder.ffn_dim 32 --model.encoder.heads 4 "
    "--model.encoder.pos_conv_groups 4 --loop.updates 2 --loop.batch_seconds 60 --loop.max_batch_seconds 30 "
    "--loop.workers 0"
).split()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Tones that last 2.4 to 3 s, since the paper's pre-training takes no shorter ones."""
    return tone_corpus(tmp_path_factory.mktemp("longer tones"), utterances=4, least_words=8)


@pytest.mark.parametrize("recipe, name", SYSTEMS)
def test_system_trains(recipe, name, speech, tmp_path, monkeypatch):
    files = [EGS / recipe / f"conf/{config}.yaml" for config in (BASES[recipe], name)]
    data = ["--train-cuts", speech.cuts, "--dev-cuts", speech.cuts, "--exp-dir", str(tmp_path / "exp")]
    arguments = [*(f"--config={file}" for file in files), *data, *SMALL]
    monkeypatch.setattr(sys, "argv", ["pretrain", *arguments])
    pretrain.main()
    (values,) = read_log(tmp_path / "exp", "train")
    assert values["step"] == 2 and values["loss"] > 0
