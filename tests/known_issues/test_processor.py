"""AutoProcessor of an exported CTC model was a tokenizer, and its card did not tell what padding does there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers

from mt4ssl.inference.card import model_card
from mt4ssl.interop.huggingface import export_ctc
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig

ARCHITECTURE = ModelConfig(
    FrontendConfig("waveform", 32),
    EncoderConfig(layers=1, dim=32, ffn_dim=64, heads=2, pos_conv_width=10, pos_conv_depth=2, pos_conv_groups=2),
)


def test_auto_processor_is_a_processor(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nB 3\n", encoding="utf-8")
    model = CtcModel(ARCHITECTURE, CtcConfig(), 4).eval()
    export_ctc(model, ARCHITECTURE, Tokens(tmp_path), tmp_path / "exported")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "exported")
    assert isinstance(processor, transformers.Wav2Vec2Processor)
    samples = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    inputs = processor(samples, sampling_rate=16000, return_tensors="pt")
    theirs = transformers.AutoModelForCTC.from_pretrained(tmp_path / "exported").eval()
    with torch.inference_mode():
        logits = theirs(inputs.input_values).logits
        log_probs, _ = model(torch.from_numpy(samples)[None], torch.tensor([16000]))
    torch.testing.assert_close(logits.log_softmax(-1), log_probs, rtol=0, atol=1e-4)
    (text,) = processor.batch_decode(logits.argmax(-1))
    assert text.split() == Tokens(tmp_path).decode(_collapse(log_probs[0])).split()


def _collapse(log_probs: torch.Tensor) -> list[int]:
    best = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return [token for token in best if token]


def test_the_card_says_what_padding_does(tmp_path: Path) -> None:
    card = model_card(tmp_path, {}, "ctc", "transformers")
    for place in ("positional convolutions of data2vec", "statistics of GroupNorm", "convolutions of Conformers"):
        assert f"into the {place}" in card
    assert "padding" not in model_card(tmp_path, {}, "ctc", "mt4ssl")
