"""Configs: what is read, overridden, refused and written back."""

import argparse
import ast
import math
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import build, load_config, parse_config, save_config
from mt4ssl.errors import UserError
from mt4ssl.models.speech import ModelConfig
from mt4ssl.ranges import Count, Finite, Range, number
from mt4ssl.targets import AnyTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import TeacherTarget
from mt4ssl.train.finetuning import FinetuneConfig
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
TARGETS = "[{type: kmeans, layer: 1}, {type: teacher, layer: 4}]"


@pytest.fixture
def yaml_file(tmp_path):
    path = tmp_path / "pretrain config.yaml"
    path.write_text(YAML)
    return path


def parse(path, *overrides):
    return parse_config(PretrainConfig, "", ["--config", str(path), *overrides])


def test_file_and_override(yaml_file):
    config = parse(yaml_file, "--model.encoder.heads", "6", "--optim.lr", "0.1")
    assert config.model.encoder.heads == 6 and config.model.encoder.dim == 192 and config.optim.lr == 0.1
    assert config.targets == [KMeansTarget("kmeans", "km", layer=4), TeacherTarget("teacher", 3, layer=4, weight=0.2)]
    assert config.mask.prob == 0.65


def test_a_list_replaces_one_that_is_as_long(yaml_file, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("targets: [{type: teacher, layer: 1}, {type: kmeans, layer: 4}]\n")
    config = parse(yaml_file, f"--config={other}")
    assert config.targets == [TeacherTarget("teacher", layer=1), KMeansTarget("kmeans", layer=4)]
    for option in (["--targets", TARGETS], [f"--targets={TARGETS}"]):
        config = parse(yaml_file, *option)
        assert config.targets == [KMeansTarget("kmeans", layer=1), TeacherTarget("teacher", layer=4)]
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
        (["--targets", "[{type: teachr}]"], "type must be one of kmeans, teacher, random_projection"),
        (["--targets", "[{type: kmeans, layr: 3}]"], r"targets.*: Option 'layr' is not accepted: \{'type': 'kmeans'"),
        (["--targets=[{type: kmeans}, {type: teacher, top_k: x}]"], "top_k.*: x"),
        (["--targets", "[{type: model, checkpoint: m, layers: []}]"], "target of m: layers is empty"),
        (
            ["--targets", "[{type: teacher, layer: 2}]"],
            "follows layer 4 of the teacher, but no target",
        ),
        (["--mask.prob", "0"], "mask.prob is 0, but KMeansTarget.* is learned at masked frames"),
        (["--mask.prob", "1", "--decoder.dim", "64"], "mask.prob is 1: with a decoder"),
        (
            ["--mixing.prob", "0.2", "--targets", "[{type: frontend, checkpoint: m}]"],
            "mixing.prob: waveforms beside fbank are not mixed",
        ),
        (["--min-seconds", "0.05"], "min_seconds is 0.05: it must be at least 0.06"),
        (
            ["--model.frontend", "{type: fbank, kernels: [3, 4], strides: [2, 2]}"],
            r"kernels are \[3, 4\]: for fbank they must be odd",
        ),
        (["--targets", "[]"], "targets is empty"),
        (["--model.encoder.dim", "190"], "encoder.dim 190"),
        (["--optim.hold", "0.99"], "optim.warmup"),
        (["--optim.lr", "-1"], "optim.lr is -1: it must be above 0"),
        (["--optim.betas", "[0.9, 3]"], "optim.betas.1 is 3: it must be at least 0 and below 1"),
        (["--mask.prob", "2"], "mask.prob is 2: it must be at least 0 and at most 1"),
        (["--mask.length", "0"], "mask.length is 0"),
        (["--ema.decay", "2"], "ema.decay is 2"),
        (["--loop.batch_seconds", "0"], "loop.batch_seconds is 0: it must be above 0"),
        (["--loop.updates", "0"], "loop.updates is 0: it must be at least 1"),
        (["--loop.save_every", "0"], "loop.save_every is 0"),
        (["--loop.keep", "0"], "loop.keep is 0"),
        (["--loop.seed", "-1"], "loop.seed is -1"),
        (["--loop.workers", "-1"], "loop.workers is -1"),
        (["--model.encoder.heads", "0"], "encoder.heads is 0"),
        (
            ["--targets", "[{type: kmeans}, {type: teacher, top_k: 0}]"],
            "targets.1.top_k is 0: it must be at least 1",
        ),
    ],
)
def test_refusals_are_one_line(yaml_file, override, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(yaml_file, *override)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_unknown_key_in_the_file(yaml_file):
    yaml_file.write_text(YAML + "mask: {probability: 0.5}\n")
    with pytest.raises(UserError, match="probability"):
        parse(yaml_file)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="none.yaml"):
        parse(tmp_path / "none.yaml")


def test_build_from_plain_data():
    assert build(ModelConfig, {"encoder": {"layers": 3}}).encoder.layers == 3
    with pytest.raises(UserError, match=r"frontend.strides.1 is 0"):
        build(ModelConfig, {"frontend": {"kernels": [3, 3], "strides": [2, 0]}})


def numbers(hint):
    """The types of numbers in a type, with their metadata."""
    if hint in (int, float) or get_origin(hint) is Annotated:
        return [hint]
    return [number for part in get_args(hint) for number in numbers(part)]


@pytest.mark.parametrize("config", [PretrainConfig, FinetuneConfig, KMeansConfig, *get_args(AnyTarget)])
def test_every_number_has_a_range(config):
    """But for those that the dataclass itself checks."""
    checked = {"speeds", "time_warp_factor", "num_feature_masks", "features_mask_size", "num_frame_masks"}
    checked |= {"frames_mask_size"}
    for name, hint in get_type_hints(config, include_extras=True).items():
        for section in (hint, *get_args(hint)):
            if isinstance(section, type) and is_dataclass(section):
                test_every_number_has_a_range(section)
        for found in numbers(hint):
            assert get_origin(found) is Annotated or name in checked, f"{config.__name__}.{name} has no range"


@pytest.mark.parametrize(
    "number, limits, held",
    [
        (0, Range(least=0, below=1), True),
        (1, Range(least=0, below=1), False),
        (1, Range(least=0, most=1), True),
        (0, Range(above=0), False),
        (math.nan, Range(least=0), False),
        (math.inf, Range(least=0), False),
    ],
)
def test_a_range_holds_its_ends_or_not(number, limits, held):
    assert (number in limits) == held


def numbers_of_verbs():
    """Options of all verbs that take any number, as "verb --option"."""
    for path in (Path(__file__).parents[1] / "mt4ssl/bin").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if settings.get("type") in ("int", "float") and "choices" not in settings:
                    yield f"{path.stem} {node.args[0].value}"


def test_every_number_of_a_verb_has_a_range():
    assert list(numbers_of_verbs()) == ["extract_features --layer"]  # which its model checks


@pytest.mark.parametrize(
    "options, message",
    [
        ("--nj 0", "argument --nj: 0: it must be at least 1"),
        ("--nj two", "argument --nj: invalid int value: 'two'"),
        ("--score nan", "argument --score: nan: it must be finite"),
    ],
)
def test_options_of_verbs_are_refused_by_name(capsys, options, message):
    parser = argparse.ArgumentParser()
    parser.add_argument("--nj", type=number(Count))
    parser.add_argument("--score", type=number(Finite))
    assert vars(parser.parse_args(["--nj", "1", "--score", "-0.5"])) == {"nj": 1, "score": -0.5}
    with pytest.raises(SystemExit):
        parser.parse_args(options.split())
    assert capsys.readouterr().err.endswith(f"error: {message}\n")
