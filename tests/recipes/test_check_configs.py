"""What stages 5 and 8 would refuse is refused before stage 2, and the labels that are needed are named."""

import sys
from pathlib import Path

import pytest

from mt4ssl.bin.check_configs import main
from mt4ssl.errors import UserError

CONF = Path(__file__).parents[2] / "egs/mini_librispeech/conf"


def files(names):
    return " ".join(f"--config={CONF}/{name}.yaml" for name in names.split())


def check(monkeypatch, names, options="", *others):
    arguments = ["--pretrain", f"{files(names)} {options}", "--kmeans", f"{CONF}/kmeans.yaml", *others]
    monkeypatch.setattr(sys, "argv", ["check_configs", *arguments])
    main()


def finetune(options):
    return "--finetune", f"{files('finetune')} {options}"


@pytest.mark.parametrize(
    "names, labels",
    [("pretrain", "kmeans"), ("pretrain data2vec2", ""), ("pretrain bestrq", ""), ("pretrain polybert", "triphones")],
)
def test_labels_are_named(names, labels, monkeypatch, capsys):
    check(monkeypatch, names)
    assert capsys.readouterr().out.split() == labels.split()


@pytest.mark.parametrize(
    "names, options, message",
    [
        ("pretrain", "--decoder.dim 64", "a decoder goes with layers that do not take frames for neighbours"),
        ("pretrain waveform bestrq", "", "target random_projection reads fbank"),
        ("pretrain distil", "", "mt4ssl_iter1/config.yaml is missing"),
        ("pretrain", "--initial nowhere", "nowhere/config.yaml is missing"),
        ("pretrain", "--model.encoder.layers 3", "needs more layers than the encoder's 3"),
    ],
)
def test_what_cannot_be_built_is_refused(names, options, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        check(monkeypatch, names, options)


SHARES = "16 processes cannot share {} micro-batches: set loop.max_batch_seconds to"


@pytest.mark.parametrize(
    "names, others, message",
    [
        ("pretrain", finetune("--reinit-layers 99"), "reinit_layers is 99: the pre-trained model has 4 layers"),
        ("pretrain waveform", finetune("--augment.num-feature-masks 2"), "SpecAugment needs fbank"),
        ("pretrain", ("--processes", "16"), f"pre-training: {SHARES.format('.*')}"),
        (
            "pretrain",
            ("--processes", "16", "--pretrained", "later", *finetune("--loop.max_batch_seconds 1000")),
            f"fine-tuning: {SHARES.format(1)}",
        ),
    ],
)
def test_fine_tuning_that_cannot_work_is_refused(names, others, message, monkeypatch):
    with pytest.raises(UserError, match=message):
        check(monkeypatch, names, "", *others)


def test_fine_tuning_that_works_is_not(monkeypatch):
    check(
        monkeypatch, "pretrain", "", *finetune("--reinit-layers 99 --from-scratch true --augment.num-feature-masks 2")
    )


def test_the_model_to_fine_tune_is_the_one_that_is_there(monkeypatch, tmp_path):
    later = "--pretrained", str(tmp_path), *finetune("--reinit-layers 99")
    check(monkeypatch, "pretrain", "", *later)
    (tmp_path / "config.yaml").write_text("model: {encoder: {layers: 100}}")
    check(monkeypatch, "pretrain", "", *later)
    (tmp_path / "config.yaml").write_text("model: {encoder: {layers: 9}}")
    with pytest.raises(UserError, match="reinit_layers is 99: the pre-trained model has 9 layers"):
        check(monkeypatch, "pretrain", "", *later)
