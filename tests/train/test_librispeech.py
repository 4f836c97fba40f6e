"""Configs of egs/librispeech train, on sizes shrunk by overrides alone; the ablations change what they ablate."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from lhotse import CutSet, LilcomChunkyWriter
from tones import tone_corpus

from mt4ssl.bin import finetune, pretrain, train_kmeans
from mt4ssl.config import parse_config
from mt4ssl.data.features import make_extractor
from mt4ssl.lang.lexicon import write_lang
from mt4ssl.lang.tokens import Tokens
from mt4ssl.lang.units.phones import Phones
from mt4ssl.results import read_log
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import TeacherTarget
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig

CONF = Path(__file__).parents[2] / "egs/librispeech/conf"
SMALL = (
    "--model.frontend.dim 8 --model.encoder.dim 32 --model.encoder.ffn_dim 32 --model.encoder.heads 4 "
    "--model.encoder.pos_conv_groups 4"
).split()

FEW = "--loop.updates 2 --loop.batch_seconds 60 --loop.max_batch_seconds 30 --loop.workers 1".split()


def configs(*names: str) -> list[str]:
    """Arguments for a config of the recipe and what is laid over it."""
    return [argument for name in names for argument in ("--config", str(CONF / f"{name}.yaml"))]


def run(monkeypatch: pytest.MonkeyPatch, verb: ModuleType, *arguments: str | Path) -> None:
    """Call a verb as the recipe does."""
    monkeypatch.setattr(sys, "argv", ["verb", *map(str, arguments)])
    verb.main()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Tones that last 2.4 to 3 s, since the paper's pre-training takes no shorter ones."""
    return tone_corpus(tmp_path_factory.mktemp("longer tones"), utterances=4, least_words=8)


@pytest.fixture(scope="module")
def pretrained(speech: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two updates of the base model: what the later stages start from."""
    folder = tmp_path_factory.mktemp("exp") / "base"
    with pytest.MonkeyPatch.context() as monkeypatch:
        data = ["--train-cuts", speech.cuts, "--dev-cuts", speech.cuts, "--exp-dir", folder]
        run(monkeypatch, pretrain, *configs("pretrain_base"), *data, *SMALL, *FEW)
    return folder


def updates(folder: Path) -> list[int]:
    return [values["step"] for values in read_log(folder, "train")]


def test_base_trains(pretrained: Path) -> None:
    assert updates(pretrained) == [2]


@pytest.mark.parametrize("name", ["10m", "1h", "10h", "100h"])
def test_fine_tuning_trains(
    name: str, speech: SimpleNamespace, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["--train-cuts", speech.cuts, "--dev-cuts", speech.cuts, "--exp-dir", tmp_path, "--lang", speech.folder]
    arguments = [*data, "--pretrained", pretrained, *FEW]
    run(monkeypatch, finetune, *configs("finetune", f"finetune_{name}"), *arguments)
    assert updates(tmp_path) == [2]


def test_fine_tuning_on_phones_trains(
    speech: SimpleNamespace, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lexicon in the form of OpenSLR 11's: tabs, stress, several pronunciations."""
    lang, lexicon = tmp_path / "lang", tmp_path / "librispeech-lexicon.txt"
    lexicon.write_text("A\tAH0\nA\tEY1\nB\tB IY1\nC\tS IY1\n")
    write_lang(lang, Phones.make(lang, ["A B C"], [], [*"ABC"], 0, str(lexicon)), [*"ABC"])
    data = ["--train-cuts", speech.cuts, "--dev-cuts", speech.cuts, "--exp-dir", tmp_path / "exp", "--lang", lang]
    run(monkeypatch, finetune, *configs("finetune", "finetune_10h"), *data, "--pretrained", pretrained, *FEW)
    assert updates(tmp_path / "exp") == [2]
    assert read_log(tmp_path / "exp", "dev")[-1]["per"] > 0
    assert Tokens(tmp_path / "exp").symbols == ["<blk>", "AH", "B", "EY", "IY", "S"]


@pytest.mark.parametrize("name, clusters", [("kmeans", 100), ("kmeans_iter2", 500)])
def test_kmeans_trains(
    name: str, clusters: int, speech: SimpleNamespace, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = CutSet.from_file(speech.cuts)
    if name == "kmeans":
        with LilcomChunkyWriter(tmp_path / "mfcc.lca") as writer:
            cuts = CutSet.from_cuts(cut.compute_and_store_features(make_extractor("mfcc"), writer) for cut in cuts)
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    data = ["--cuts", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "kmeans", "--checkpoint", pretrained]
    run(monkeypatch, train_kmeans, *configs(name), *data)
    assert len(np.load(tmp_path / "kmeans/centroids.npy")) == clusters


def test_base_is_the_paper_s() -> None:
    """Values that distinguish the paper's setting from its relatives' (shared/FACTS.md, 1.1 and 1.2)."""
    config = read("pretrain_base")
    encoder, optim, loop = config.model.encoder, config.optim, config.loop
    assert config.targets == [KMeansTarget("kmeans", layer=12), TeacherTarget("teacher", top_k=8, layer=12)]
    assert config.model.frontend.normalise and config.model.frontend.frame_shift == 0.02
    assert (encoder.layers, encoder.dim, encoder.ffn_dim, encoder.heads) == (12, 768, 3072, 12)
    assert (encoder.dropout, encoder.attention_dropout, encoder.activation_dropout) == (0.1, 0.1, 0.0)
    assert (encoder.layerdrop, encoder.pos_conv_width, encoder.pos_conv_depth) == (0.05, 95, 5)
    assert (config.mask.prob, config.mask.length) == (0.65, 10)
    assert (config.ema.decay, config.ema.end_decay, config.ema.anneal_steps) == (0.999, 0.9999, 30_000)
    assert (optim.lr, optim.betas, optim.eps, optim.weight_decay) == (5e-4, (0.9, 0.98), 1e-6, 0.01)
    assert (optim.clip_norm, optim.warmup, optim.hold, optim.final_scale) == (0, 0.03, 0.9, 0.01)
    assert (loop.updates, loop.batch_seconds * 16_000) == (400_000, 16 * 3_800_000)
    assert (config.min_seconds, config.max_seconds) == (2, 20)


@pytest.mark.parametrize("name, kind", [("offline", KMeansTarget), ("online", TeacherTarget)])
def test_ablation_differs_in_targets_only(name: str, kind: type) -> None:
    base, alone = read("pretrain_base"), read("pretrain_base", name)
    assert alone.targets == [target for target in base.targets if isinstance(target, kind)]
    assert replace(alone, targets=base.targets) == base


def test_fbank_differs_in_the_front_end_only() -> None:
    base, fbank = read("pretrain_base"), read("pretrain_base", "fbank")
    assert fbank.model.frontend.type == "fbank"
    assert fbank.model.frontend.frame_shift == base.model.frontend.frame_shift
    assert replace(fbank, model=replace(fbank.model, frontend=base.model.frontend)) == base


def read(*names: str) -> PretrainConfig:
    return parse_config(PretrainConfig, "", [*configs(*names), *NO_DATA])
