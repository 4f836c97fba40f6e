"""Configs: what is read, overridden, refused and written back."""

import pytest

from mt4ssl.config import build, load_config, parse_config, save_config
from mt4ssl.errors import UserError
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import TeacherTarget
from mt4ssl.train.pretraining import PretrainConfig

YAML = """
train_cuts: a
dev_cuts: b
exp_dir: c
model: {encoder: {layers: 4, dim: 192, heads: 4}}
targets:
  - {type: kmeans, name: km, layer: 4}
  - {type: teacher, top_k: 3, layer: 4, weight: 0.2}
optim: {lr: 2.0e-3}
"""


@pytest.fixture
def yaml_file(tmp_path):
    path = tmp_path / "pretrain config.yaml"
    path.write_text(YAML)
    return path


def parse(path, *overrides):
    return parse_config(PretrainConfig, "", ["--config", str(path), *overrides])


def test_file_and_override(yaml_file):
    config = parse(yaml_file, "--model.encoder.layers", "5", "--optim.lr", "0.1")
    assert config.model.encoder.layers == 5 and config.model.encoder.dim == 192 and config.optim.lr == 0.1
    assert config.targets == [KMeansTarget("kmeans", "km", layer=4), TeacherTarget("teacher", 3, layer=4, weight=0.2)]
    assert config.mask.prob == 0.65


def test_a_list_replaces_one_that_is_as_long(yaml_file, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("targets: [{type: teacher, layer: 1}, {type: kmeans, layer: 2}]\n")
    config = parse(yaml_file, f"--config={other}")
    assert config.targets == [TeacherTarget("teacher", layer=1), KMeansTarget("kmeans", layer=2)]
    config = parse(
        yaml_file, f"--config={yaml_file}", "--model.frontend.kernels", "[3]", "--model.frontend.strides", "[2]"
    )
    assert config.targets[1].weight == 0.2 and config.model.frontend.kernels == [3]


def test_resolved_config_reads_back(yaml_file, tmp_path):
    config = parse(yaml_file)
    save_config(config, tmp_path / "resolved.yaml")
    assert load_config(PretrainConfig, tmp_path / "resolved.yaml") == config


@pytest.mark.parametrize(
    "override, message",
    [
        (["--lrr", "1"], "lrr"),
        (["--optim.lr", "fast"], "optim.lr"),
        (["--model.frontend.type", "mel"], "mel"),
        (["--targets", "[{type: teachr}]"], "teachr"),
        (["--targets", "[]"], "targets is empty"),
        (["--model.encoder.dim", "190"], "encoder.dim 190"),
        (["--optim.hold", "0.99"], "optim.warmup"),
    ],
)
def test_refusals_are_one_line(yaml_file, override, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(yaml_file, *override)
    assert "\n" not in str(caught.value)


def test_unknown_key_in_the_file(yaml_file):
    yaml_file.write_text(YAML + "mask: {probability: 0.5}\n")
    with pytest.raises(UserError, match="probability"):
        parse(yaml_file)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="none.yaml"):
        parse(tmp_path / "none.yaml")


def test_build_from_plain_data():
    assert build(ModelConfig, {"encoder": {"layers": 3}}).encoder.layers == 3
