"""Every config of every recipe is read without complaint, overlays with what they lie over; ablations ablate only."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import build, parse_config
from mt4ssl.data.corpus import read_corpus
from mt4ssl.data.layouts import LAYOUTS
from mt4ssl.models.pretrained import load_architecture
from mt4ssl.train.finetuning import FinetuneConfig, with_dropouts
from mt4ssl.train.pretraining import PretrainConfig

ROOT = Path(__file__).parents[2]
NEEDED = {
    "pretrain": (PretrainConfig, "--train-cuts a --dev-cuts b --exp-dir c".split()),
    "finetune": (FinetuneConfig, "--train-cuts a --dev-cuts b --exp-dir c --lang d --pretrained e".split()),
    "kmeans": (KMeansConfig, []),
}


def whole_configs(pattern: str) -> list[str]:
    """Configs as run.sh takes them, relative to ROOT: a file, or an overlay after the file that it belongs to."""
    configs = []
    for path in sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern) if path.name != "corpus.yaml"):
        kind = path.stem.split("_")[0]
        (base,) = ROOT.glob(f"{path.parent}/{kind if kind == 'finetune' else 'pretrain*'}.yaml")
        alone = kind in ("pretrain", "kmeans") or path.name == base.name
        configs.append(str(path) if alone else f"{base.relative_to(ROOT)},{path}")
    return configs


SIZES = Path("utils/recipe/conf")
RECIPES = whole_configs("egs/*/conf/*.yaml") + whole_configs(f"{SIZES}/*/*.yaml")
CONFIGS = RECIPES + whole_configs("tests/recipes/tiny/conf/*.yaml")
PRETRAIN_CONFIGS = [config for config in RECIPES if Path(config.split(",")[0]).stem.startswith("pretrain")]


def read(config: str):
    """Read a comma-separated list of files as run.sh does."""
    paths = config.split(",")
    config_type, arguments = NEEDED[Path(paths[0]).stem.split("_")[0]]
    return parse_config(config_type, "", [*(f"--config={ROOT / path}" for path in paths), *arguments])


@pytest.mark.parametrize("config", CONFIGS)
def test_config_is_read(config):
    read(config)


@pytest.mark.parametrize("config", PRETRAIN_CONFIGS)
def test_a_collapse_is_noticed_long_before_the_end(config):
    config = read(config)
    assert config.guard.after <= config.loop.updates / 3


@pytest.mark.parametrize("name, kinds", [("offline", ["kmeans"]), ("online", ["teacher"])])
@pytest.mark.parametrize("base", [config for config in PRETRAIN_CONFIGS if "," not in config])
def test_ablations_differ_in_targets_only(base, name, kinds):
    both, alone = read(base), read(f"{base},{Path(base).parent}/{name}.yaml")
    assert [target.type for target in alone.targets] == kinds
    assert alone.targets == [target for target in both.targets if target.type in kinds]
    assert replace(alone, targets=both.targets) == both


@pytest.mark.parametrize(
    "ours, theirs",
    [
        *((f"tiny/{name}", f"espeak/{name}") for name in ("pretrain", "finetune", "kmeans", "kmeans_iter2")),
        ("base/pretrain", "librispeech/pretrain_base"),
        ("base/finetune", "librispeech/finetune,librispeech/finetune_10h"),
        ("base/finetune,base/finetune_1h", "librispeech/finetune,librispeech/finetune_1h"),
        ("base/finetune,base/finetune_1h", "librispeech/finetune,librispeech/finetune_10m"),
        ("base/finetune,base/finetune_100h", "librispeech/finetune,librispeech/finetune_100h"),
        ("base/kmeans", "librispeech/kmeans"),
        ("base/kmeans_iter2", "librispeech/kmeans_iter2"),
    ],
)
def test_sizes_have_the_values_of_the_recipes_that_they_name(ours, theirs):
    paths = [f"{SIZES}/{name}.yaml" for name in ours.split(",")]
    others = ["egs/{}/conf/{}.yaml".format(*name.split("/")) for name in theirs.split(",")]
    assert read(",".join(paths)) == read(",".join(others))


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_a_config_says_what_size_it_is_for(size):
    for path in (ROOT / SIZES / size).iterdir():
        assert path.read_text().startswith(f"# Size {size}"), path


def test_the_template_of_a_corpus_shows_every_layout():
    path = ROOT / SIZES / "corpus.yaml"
    corpus, text = read_corpus(path), path.read_text()
    examples = corpus.splits | yaml.safe_load("\n".join(re.findall(r"^# (\w+: {.*)", text, re.MULTILINE)))
    assert len(examples) == len(corpus.splits) + 6
    assert {key for split in examples.values() for key in split} >= LAYOUTS.keys()
    for key, layout in LAYOUTS.items():
        for split in examples.values():
            assert key not in split or build(layout, split)


def test_what_reads_tokens_has_the_layers_of_the_pre_training():
    """But for dropouts, which fine-tuning sets."""
    config = read("egs/mini_librispeech/conf/finetune.yaml,egs/mini_librispeech/conf/finetune_tokens.yaml")
    tokens = load_architecture(ROOT / "egs/mini_librispeech/conf/tokens")
    speech = read("egs/mini_librispeech/conf/pretrain.yaml").model
    assert config.from_scratch and tokens.frontend.reads.labels == "tokens"
    assert with_dropouts(tokens, config).encoder == with_dropouts(speech, config).encoder


def test_a_later_file_replaces_keys_and_keeps_the_others(tmp_path):
    """What overlays rest on, down to a key of a section in a section; a list is replaced as a whole."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {encoder: {layers: 5}}\ntargets: [{type: teacher, layer: 5}]\noptim: {lr: 1.0}\n")
    base = read("egs/espeak/conf/pretrain.yaml")
    config = read(f"egs/espeak/conf/pretrain.yaml,{overlay}")
    assert (config.model.encoder.layers, config.optim.lr) == (5, 1.0)
    assert [(target.type, target.layer) for target in config.targets] == [("teacher", 5)]
    encoder = replace(config.model.encoder, layers=base.model.encoder.layers)
    same = {"targets": base.targets, "optim": replace(config.optim, lr=base.optim.lr)}
    assert replace(config, model=replace(config.model, encoder=encoder), **same) == base
