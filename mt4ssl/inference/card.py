"""Model cards: what a model was made from, how good it is, how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mt4ssl.inference.folder import MADE
from mt4ssl.results import METHODS, best_wer, commit, is_outdated, rate_name, wer_notes
from mt4ssl.table import markdown_table

USAGE = {
    ("mt4ssl", "encoder"): """
from mt4ssl import Encoder

layers = Encoder("FOLDER").layers("speech.flac")  # a (T, C) tensor for each layer
""",
    ("mt4ssl", "ctc"): """
from mt4ssl import Recogniser

print(Recogniser("FOLDER").transcribe("speech.flac"))
""",
    ("transformers", "encoder"): """
from transformers import AutoModel

model = AutoModel.from_pretrained("FOLDER")
""",
    ("transformers", "ctc"): """
from transformers import pipeline

print(pipeline("automatic-speech-recognition", model="FOLDER")("speech.flac")["text"])
""",
    ("onnx", "encoder"): """
from onnxruntime import InferenceSession

session = InferenceSession("FOLDER/model.onnx")  # waveforms (B, S) at 16 kHz, lengths (B,) in samples
""",
}
USAGE["onnx", "ctc"] = USAGE["onnx", "encoder"]
PADDING = (
    "In padded batches transformers lets padding into the positional convolutions of data2vec, into the statistics of"
    " GroupNorm front-ends and into the convolutions of Conformers, so that hidden states and text of the shorter"
    " utterances differ from those of the same utterances alone, and from this library's. Give it one utterance at a"
    " time where that matters."
)


def model_card(exp: Path, config: dict[str, Any], kind: str, form: str) -> str:
    """Return the README.md of a model exported from the folder `exp`.

    Args:
        exp: folder of a training, or of an exported model; its WER files and its data are told where it has them.
        config: the content of its config.yaml.
        kind: `encoder` or `ctc`.
        form: `mt4ssl`, `transformers` or `onnx`.

    """
    header: dict[str, Any] = {"tags": ["speech", "mt4ssl"]}
    if kind == "ctc":
        header["pipeline_tag"] = "automatic-speech-recognition"
    if form == "transformers":
        header["library_name"] = "transformers"
    parts = [
        f"---\n{yaml.safe_dump(header)}---",
        f"# {exp.resolve().name}",
        "A speech recogniser: a pre-trained encoder, fine-tuned with CTC." if kind == "ctc" else "A speech encoder.",
        f"Exported at commit `{commit()}` {MADE}.",
        f"```python{USAGE[form, kind]}```",
        *([PADDING] if form == "transformers" else []),
        *_results(exp),
        "## Data",
        _data(config),
        "## Config",
        f"```yaml\n{yaml.safe_dump(_shortened(config), sort_keys=False)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _results(exp: Path) -> list[str]:
    """The WER of every set and search that was scored."""
    found = ((name, path) for method, name in METHODS.items() for path in sorted((exp / method).glob("wer-*.json")))
    paths = [(name, path) for name, path in found if not is_outdated(path)]
    rows = [[path.stem.removeprefix("wer-"), name, best_wer(path)] for name, path in paths]
    rate = rate_name(path for _, path in paths)
    table = markdown_table(["set", "search", f"{rate} (95 % interval)"], rows)
    notes = wer_notes(path for _, path in paths)
    return [f"## {rate}", "In percent; LM weights are chosen on dev.", table, *notes] if rows else []


def _data(config: dict[str, Any]) -> str:
    known = {"train_cuts": "trained on", "dev_cuts": "validated on", "pretrained": "started from"}
    lines = [f"- {text} `{_shortened(config)[key]}`" for key, text in known.items() if key in config]
    return "\n".join(lines) or "Not stated: the model came here from elsewhere."


def _shortened(config: dict[str, Any]) -> dict[str, Any]:
    """Without the folders of the machine that it was trained on."""
    return {
        key: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for key, value in config.items()
    }
