"""Every config of every recipe is read without complaint, overlays with what they lie over; ablations ablate only."""

from dataclasses import replace
from pathlib import Path

import pytest

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import parse_config
from mt4ssl.train.finetuning import FinetuneConfig
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
    for path in sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern)):
        kind = path.stem.split("_")[0]
        (base,) = ROOT.glob(f"{path.parent}/{kind if kind == 'finetune' else 'pretrain*'}.yaml")
        alone = kind in ("pretrain", "kmeans") or path.name == base.name
        configs.append(str(path) if alone else f"{base.relative_to(ROOT)},{path}")
    return configs


CONFIGS = whole_configs("egs/*/conf/*.yaml") + whole_configs("tests/recipes/tiny/conf/*.yaml")
PRETRAIN_CONFIGS = [config for config in CONFIGS if config.startswith("egs") and "conf/pretrain" in config]


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
