"""Trainings and exports that version 0.1 made open, give what they gave then, and go on.

`version_0.1/` was made by that version's verbs on the corpus of tests/tones.py, in its folder, on a CPU with AVX2. With
AVX-512 energies of fbank differ in their last bits, layers by 5e-5, and what an update changes by 3 %.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tones import tone_corpus

from mt4ssl import Encoder, Recogniser
from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.config import load_config
from mt4ssl.inference.export import open_recogniser
from mt4ssl.inference.models import audio_input
from mt4ssl.models.ctc import CtcModel
from mt4ssl.models.pretrained import load_student
from mt4ssl.models.speech import ModelConfig
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask

OLD = Path(__file__).parent / "version_0.1"
EXPECTED = np.load(OLD / "expected.npz")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    tone_corpus(folder)
    monkeypatch.chdir(folder)
    return folder


def log_probs(model: CtcModel, architecture: ModelConfig, wav: Path) -> np.ndarray:
    with torch.inference_mode():
        return model(*audio_input(wav, architecture.frontend))[0][0].numpy()


def test_exported_encoder(corpus: Path) -> None:
    for ours, theirs in zip(Encoder(OLD / "encoder").layers(corpus / "0.wav"), EXPECTED["layers"]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-4)


def test_exported_recogniser(corpus: Path) -> None:
    recogniser = Recogniser(OLD / "ctc")
    assert recogniser.transcribe(corpus / "0.wav") == str(EXPECTED["text"])
    np.testing.assert_allclose(
        log_probs(recogniser.model, recogniser.architecture, corpus / "0.wav"), EXPECTED["log_probs"], atol=0.05
    )  # those were computed from stored fbank, which is lossy


def test_checkpoints(corpus: Path) -> None:
    encoder, architecture = load_student(OLD / "pretrain")
    with torch.inference_mode():
        outputs, _ = encoder(*audio_input(corpus / "0.wav", architecture.frontend))
    np.testing.assert_allclose(outputs[-1][0], EXPECTED["layers"][-1], rtol=1e-3, atol=2e-4)
    model, architecture, _ = open_recogniser(OLD / "finetune")
    np.testing.assert_allclose(log_probs(model, architecture, corpus / "0.wav"), EXPECTED["log_probs"], atol=0.05)


def test_an_interrupted_training_goes_on_to_the_same_end(corpus: Path) -> None:
    folder = corpus.parent / "models/pretrain"
    shutil.copytree(OLD / "interrupted", folder)
    train(PretrainTask(load_config(PretrainConfig, folder / "config.yaml"), torch.device("cpu")))
    begun = load_checkpoint(OLD / "interrupted/last.pt")["model"]
    ours, theirs = (load_checkpoint(path / "final.pt")["model"] for path in (folder, OLD / "pretrain"))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert (weight - theirs[name]).norm() <= 0.1 * (theirs[name] - begun[name]).norm(), name
