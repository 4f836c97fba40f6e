"""What stage 5 would refuse is refused before stage 2, and the labels that are needed are named."""

import sys
from pathlib import Path

import pytest

from mt4ssl.bin.check_configs import main
from mt4ssl.errors import UserError

CONF = Path(__file__).parents[2] / "egs/mini_librispeech/conf"


def check(monkeypatch, names, options=""):
    files = " ".join(f"--config={CONF}/{name}.yaml" for name in names.split())
    arguments = ["--pretrain", f"{files} {options}", "--kmeans", f"{CONF}/kmeans.yaml"]
    monkeypatch.setattr(sys, "argv", ["check_configs", *arguments])
    main()


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
        ("pretrain", "--model.encoder.layers 3", "needs more layers than the encoder's 3"),
    ],
)
def test_what_cannot_be_built_is_refused(names, options, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        check(monkeypatch, names, options)
