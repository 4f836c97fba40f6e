"""Every config of every recipe is read without complaint, and the ablations change their targets only."""

from dataclasses import replace
from pathlib import Path

import pytest

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import parse_config
from mt4ssl.train.finetuning import FinetuneConfig
from mt4ssl.train.pretraining import PretrainConfig

ROOT = Path(__file__).parents[2]
CONF = sorted(ROOT.glob("egs/*/conf/*.yaml")) + sorted(ROOT.glob("tests/recipes/tiny/conf/*.yaml"))
NEEDED = {
    "pretrain": (PretrainConfig, ["--train_cuts", "a", "--dev_cuts", "b", "--exp_dir", "c"]),
    "finetune": (FinetuneConfig, "--train_cuts a --dev_cuts b --exp_dir c --lang d --pretrained e".split()),
    "kmeans": (KMeansConfig, []),
}


def read(path: Path):
    config_type, arguments = NEEDED[path.stem.split("_")[0]]
    return parse_config(config_type, "", ["--config", str(path), *arguments])


@pytest.mark.parametrize("path", CONF, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_is_read(path):
    read(path)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("egs/*/conf/pretrain*.yaml")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_collapse_is_noticed_long_before_the_end(path):
    config = read(path)
    assert config.guard.after <= config.loop.updates / 3


@pytest.mark.parametrize("name, kinds", [("offline", ["kmeans"]), ("online", ["teacher"])])
def test_ablations_differ_in_targets_only(name, kinds):
    both = read(ROOT / "egs/espeak/conf/pretrain.yaml")
    alone = read(ROOT / f"egs/espeak/conf/pretrain_{name}.yaml")
    assert [target.type for target in alone.targets] == kinds
    assert alone.targets == [target for target in both.targets if target.type in kinds]
    assert replace(alone, targets=both.targets) == both
