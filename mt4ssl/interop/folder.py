"""Models as folders: safetensors and a config, opened without the recipe that made them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from mt4ssl.checkpoint import load_weights
from mt4ssl.config import build
from mt4ssl.data.features import make_extractor
from mt4ssl.data.rates import SAMPLING_RATE
from mt4ssl.decode.greedy import greedy_search
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.tokens import Tokens, copy_tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import ModelConfig, SpeechEncoder
from mt4ssl.models.pretrained import load_student


def check_replaceable(folder: Path) -> None:
    """Raise UserError when a model written into `folder` would take the place of something that is none."""
    if folder.is_file() or (
        folder.exists()
        and any(folder.iterdir())
        and not any((folder / name).exists() for name in ("model.safetensors", "model.onnx"))
    ):
        raise UserError(f"{folder} is there, and no exported model: name a new folder")


def save_folder(
    folder: Path, weights: Mapping[str, Tensor], config: Dict[str, Any], lang: Optional[Path] = None
) -> None:
    """Write model.safetensors and config.yaml, and the lang dir's token files where there is one."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file({name: weight.contiguous() for name, weight in weights.items()}, temporary / "model.safetensors")
        (temporary / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        if lang:
            copy_tokens(lang, temporary)


def save_encoder(folder: Path, encoder: SpeechEncoder, mask_embedding: Tensor, architecture: ModelConfig) -> None:
    """Write a pre-trained encoder, and the mask embedding (C,) that fine-tuning starts from, as a folder."""
    weights = {**encoder.state_dict(), "mask_embedding": mask_embedding}
    save_folder(folder, weights, {"kind": "encoder", "model": asdict(architecture)})


def save_recogniser(folder: Path, model: CtcModel, architecture: ModelConfig, ctc: CtcConfig, lang: Path) -> None:
    """Write a fine-tuned CTC model as a folder."""
    config = {"kind": "ctc", "model": asdict(architecture), "ctc": asdict(ctc)}
    save_folder(folder, model.state_dict(), config, lang)


def _read(folder: Path, kind: str) -> Dict[str, Any]:
    config = yaml.safe_load(require(folder / "config.yaml", "made by stage 12 (export)").read_text(encoding="utf-8"))
    if "kind" not in config:
        raise UserError(f"{folder} is the folder of a training: open what stage 12 or mt4ssl.bin.export makes of it")
    if config["kind"] != kind:
        raise UserError(f"{folder} holds a model of kind {config['kind']!r}, not {kind!r}")
    return config


def audio_input(path: Union[str, Path], frontend: FrontendConfig) -> Tuple[Tensor, Tensor]:
    """Read an audio file as the front-end wants it: waveform (1, S) or fbank (1, T, 80), and its length (1,)."""
    try:
        audio, rate = soundfile.read(require(path, "no such audio file"), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be read as audio: {error}") from error
    if rate != SAMPLING_RATE:
        raise UserError(f"{path} has {rate} samples a second: convert it to {SAMPLING_RATE}")
    samples = audio.mean(1)[None]  # (1, S)
    x: np.ndarray = make_extractor("fbank").extract(samples, rate)[None] if frontend.type == "fbank" else samples
    return torch.as_tensor(x), torch.tensor([x.shape[1]])


class Encoder:
    """A pre-trained model: speech in, the outputs of its layers out."""

    def __init__(self, folder: Union[str, Path]) -> None:
        folder = Path(folder)
        _read(folder, "encoder")
        self.model, self.architecture = load_student(folder)

    @torch.inference_mode()
    def layers(self, path: Union[str, Path]) -> List[Tensor]:
        """Return the output (T, C) of every layer for an audio file of 16 kHz."""
        outputs, _ = self.model(*audio_input(path, self.architecture.frontend))
        return [output[0] for output in outputs]


class Recogniser:
    """A fine-tuned model: speech in, text out."""

    def __init__(self, folder: Union[str, Path]) -> None:
        folder = Path(folder)
        config = _read(folder, "ctc")
        self.tokens = Tokens(folder)
        self.architecture = build(ModelConfig, config["model"])
        self.ctc = build(CtcConfig, config["ctc"])
        self.model = CtcModel(self.architecture, self.ctc, len(self.tokens)).eval()
        load_weights(self.model, load_file(folder / "model.safetensors"), folder)

    @torch.inference_mode()
    def transcribe(self, path: Union[str, Path]) -> str:
        """Return the words that greedy search finds in an audio file of 16 kHz."""
        log_probs, _ = self.model(*audio_input(path, self.architecture.frontend))
        return self.tokens.decode(greedy_search(log_probs[0].numpy()))
