"""Every config that lies over a recipe's pre-training takes two steps, shrunk by overrides alone.

Those for GPUs do in bf16, as there.
"""

import sys
from pathlib import Path

import pytest
from lhotse import CutSet
from tones import tone_corpus

from mt4ssl.bin import pretrain
from mt4ssl.clustering.labels import AlignmentLabels
from mt4ssl.config import parse_config, save_config
from mt4ssl.results import read_log
from mt4ssl.targets.frontend import FrontendTarget
from mt4ssl.targets.model import ModelTarget
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig

EGS = Path(__file__).parents[2] / "egs"
BASES = {"mini_librispeech": "pretrain", "librispeech": "pretrain_base"}
DTYPES = {"mini_librispeech": "fp32", "librispeech": "bf16"}
OTHERS = ("pretrain", "finetune", "kmeans", "corpus", "codes")  # codes is trained for cobert, whose teacher it is
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
    """Tones that last 2.4 to 3 s, since the paper's pre-training takes no shorter ones, with labels of three names."""
    corpus = tone_corpus(tmp_path_factory.mktemp("longer tones"), utterances=4, least_words=8)
    cuts = list(CutSet.from_file(corpus.cuts))
    for name in ("phones", "triphones"):
        for cut in cuts:
            setattr(cut, name, cut.kmeans)
        save_config(AlignmentLabels(name, clusters=3), corpus.folder / f"{name}.yaml")
    CutSet.from_cuts(cuts).to_file(corpus.cuts)
    return corpus


def train(recipe, names, speech, folder, monkeypatch):
    files = [f"--config={EGS / recipe / 'conf' / name}.yaml" for name in names]
    data = ["--train-cuts", speech.cuts, "--dev-cuts", speech.cuts, "--exp-dir", str(folder)]
    monkeypatch.setattr(sys, "argv", ["pretrain", *files, *data, "--loop.dtype", DTYPES[recipe], *SMALL])
    pretrain.main()


@pytest.mark.parametrize("recipe, name", SYSTEMS)
def test_system_trains(recipe, name, speech, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = BASES[recipe]
    files = [f"--config={EGS / recipe / 'conf' / file}.yaml" for file in (base, name)]
    config = parse_config(PretrainConfig, "", [*files, *NO_DATA])
    for target in config.targets:
        if isinstance(target, ModelTarget):
            names = [base, "codes"] if target.codes else [base]
            train(recipe, names, speech, tmp_path / target.checkpoint, monkeypatch)
        elif isinstance(target, FrontendTarget):
            names = [base, "waveform"] if recipe == "mini_librispeech" else [base]
            train(recipe, names, speech, tmp_path / target.checkpoint, monkeypatch)
    train(recipe, [base, name], speech, tmp_path / "system", monkeypatch)
    (values,) = read_log(tmp_path / "system", "train")
    assert values["step"] == 2 and values["loss"] > 0
