"""Models as users open them: an encoder of speech, a recogniser of speech."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from mt4ssl.checkpoint import load_safetensors, load_weights
from mt4ssl.config import build
from mt4ssl.data.loading import fbank_extractor
from mt4ssl.data.signals import FBANK, SAMPLING_RATE
from mt4ssl.decode.greedy import greedy_search
from mt4ssl.decode.log_probs import log_prob_offsets
from mt4ssl.decode.weights import Weights
from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.inference.folder import read_config
from mt4ssl.lang.symbols import read_symbols
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.long_utterances import encode_in_windows
from mt4ssl.models.pretrained import load_student
from mt4ssl.models.speech import ModelConfig


def audio_input(path: str | Path, frontend: FrontendConfig) -> tuple[Tensor, Tensor]:
    """Read an audio file as the front-end wants it: waveform (1, S) or fbank (1, T, 80), and its length (1,).

    Raises UserError naming a file that is missing, no audio, not of 16 kHz, too short, or not of numbers alone.
    """
    try:
        audio, rate = soundfile.read(require(path, "no such audio file"), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be read as audio: {error}") from error
    if rate != SAMPLING_RATE:
        raise UserError(f"{path} has {rate} samples a second: convert it to {SAMPLING_RATE}")
    samples = audio.mean(1)[None]  # (1, S)
    if not np.isfinite(samples).all():
        raise UserError(f"{path} has samples that are no numbers (NaN or infinite)")
    x: np.ndarray = fbank_extractor().extract(samples, rate)[None] if frontend.reads == FBANK else samples
    if frontend.frames(x.shape[1]) < 1:
        raise UserError(f"{path} lasts {samples.shape[1] / rate:g} s, too short for a frame of this model")
    return torch.as_tensor(x), torch.tensor([x.shape[1]])


class Encoder:
    """A pre-trained model: speech in, the outputs of its layers out."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        read_config(folder, "encoder")
        self.model, self.architecture = load_student(folder)

    @torch.inference_mode()
    def layers(self, path: str | Path) -> list[Tensor]:
        """Return the output (T, C) of every layer for an audio file of 16 kHz."""
        frontend = self.architecture.frontend
        x, lengths = audio_input(path, frontend)
        outputs = encode_in_windows(self.model, lambda model, *inputs: model(*inputs)[0], x, lengths, frontend)
        return [output[0] for output in outputs]


class Recogniser:
    """A fine-tuned model: speech in, text out.

    Args:
        folder: of an exported CTC model.
        lang: a lang dir with HLG.pt, to search that graph with k2, as a model that says phones needs it for words.
        weights: LM scale and word score of that search; the best on dev are in the tables of stage 10.
        blank_penalty: nats to take from the blank's log-prob in that search, as the recipe's `decode_args` say.
        prior: file of log-priors, `log_probs/dev.prior` of the model that was exported.
        prior_scale: part of the log-priors to take from the log-probs, as the recipe's `decode_args` say.

    """

    def __init__(
        self,
        folder: str | Path,
        lang: str | Path | None = None,
        weights: tuple[float, float] = (1.0, 0.0),
        blank_penalty: float = 0.0,
        prior: str | Path | None = None,
        prior_scale: float = 0.0,
    ) -> None:
        folder = Path(folder)
        config = read_config(folder, "ctc")
        self.tokens = Tokens(folder)
        offsets = log_prob_offsets(self.tokens.symbols, blank_penalty, Path(prior) if prior else None, prior_scale)
        self.search = open_search(Path(lang), Weights(*weights), offsets) if lang else None
        self.architecture = build(ModelConfig, config["model"])
        self.ctc = build(CtcConfig, config["ctc"])
        self.model = CtcModel(self.architecture, self.ctc, len(self.tokens)).eval()
        load_weights(self.model, load_safetensors(folder / "model.safetensors"), folder)

    def transcribe(self, path: str | Path) -> str:
        """Return the words in an audio file of 16 kHz: by HLG if there is a lang dir, or else by greedy search.

        Raises UserError for a model that says phones, and has no lang dir, and for a file that k2 fails at.
        """
        if self.search:
            log_probs = self.log_probs(path)
            try:
                return self.search(log_probs)
            except (RuntimeError, MemoryError) as error:
                reason = str(error).partition("\n")[0]
                raise UserError(f"k2 fails at {path} ({reason}): cut it into parts, or give it more memory") from error
        if self.tokens.unit.kind == "phone":
            raise UserError("this model says phones: give it a lang dir with HLG.pt for words (lang=), or use phones()")
        return self.tokens.decode(greedy_search(self.log_probs(path)))

    def phones(self, path: str | Path) -> list[str]:
        """Return the phones that greedy search finds in an audio file of 16 kHz; UserError if the model says others."""
        if self.tokens.unit.kind != "phone":
            raise UserError("this model says no phones: transcribe() gives its words")
        return self.tokens.decode(greedy_search(self.log_probs(path))).split()

    @torch.inference_mode()
    def log_probs(self, path: str | Path) -> np.ndarray:
        """Return the CTC log-probs (T, V) of an audio file of 16 kHz."""
        frontend = self.architecture.frontend
        x, lengths = audio_input(path, frontend)
        (log_probs,) = encode_in_windows(self.model, lambda model, *inputs: [model(*inputs)[0]], x, lengths, frontend)
        return log_probs[0].numpy()


def open_search(lang: Path, weights: Weights, offsets: np.ndarray) -> Callable[[np.ndarray], str]:
    """Return the search of a lang dir's HLG.pt, from log-probs (T, V) to words; UserError where there is no k2."""
    try:
        from mt4ssl.decode.decoder import Decoder
        from mt4ssl.decode.graph import load_graph
    except ModuleNotFoundError as error:
        raise UserError(f"words by HLG need k2 ({error}): docs/k2.md says where to get it") from error
    hlg, words = load_graph(lang / "HLG.pt"), list(read_symbols(lang / "words.txt"))
    decoder = Decoder(hlg, words, offsets=offsets)

    def search(log_probs: np.ndarray) -> str:
        ((words,),) = decoder.best(decoder.make_lattice([log_probs]), [weights])
        return " ".join(words or [])

    return search
