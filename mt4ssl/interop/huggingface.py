"""Folders of transformers: encoders in and out, CTC models out. transformers itself is not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mt4ssl.checkpoint import load_checkpoint, load_safetensors
from mt4ssl.data.signals import SAMPLING_RATE, WAVEFORM
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.interop.weight_names import Imported, check_settings, give_weights, take_encoder, transformers_names
from mt4ssl.lang.tokens import Tokens
from mt4ssl.lang.units.base import BLANK, BOUNDARY
from mt4ssl.models.ctc import CtcModel
from mt4ssl.models.encoder import EncoderConfig, Positions
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.positions import BUCKETS, FAR, frequencies
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

CONFORMER = "wav2vec2-conformer"
TYPES = ("data2vec-audio", "hubert", "wav2vec2", "wavlm", CONFORMER)
# What is exported -> its classes.
CLASSES = {
    "data2vec-audio": "Data2VecAudio",
    "wav2vec2": "Wav2Vec2",
    "wavlm": "WavLM",
    CONFORMER: "Wav2Vec2Conformer",
}
# What this library computes; any other value would be another model.
REQUIRED = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
    "add_adapter": False,
    "adapter_attn_dim": None,
    "num_buckets": BUCKETS,
    "max_bucket_distance": FAR,
}
# A Conformer's position_embeddings_type -> our positions.
POSITIONS: dict[str | None, Positions] = {
    None: "none",
    "relative": "relative",
    "rotary": "rotary",
}
CONFORMER_REQUIRED = {
    **REQUIRED,
    "hidden_act": ("swish", "silu"),
    "position_embeddings_type": tuple(POSITIONS),
    "rotary_embedding_base": 10000,
}
# EncoderConfig's names -> those of transformers.
ENCODER = {
    "layers": "num_hidden_layers",
    "dim": "hidden_size",
    "ffn_dim": "intermediate_size",
    "heads": "num_attention_heads",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layerdrop": "layerdrop",
    "pos_conv_groups": "num_conv_pos_embedding_groups",
}
# Parts of a pre-training or of a fine-tuned model that no encoder needs.
HEADS = ("lm_head", "quantizer", "project_q", "project_hid", "projector", "classifier")
# What transformers builds into a Conformer and never runs, and a constant.
UNUSED, FREQUENCIES = "encoder.pos_conv_embed.conv.", "encoder.embed_positions.inv_freq"
# What makes AutoProcessor join the feature extractor and the tokenizer of a CTC model.
PROCESSOR = {"processor_class": "Wav2Vec2Processor"}
TOKENIZER = {
    "tokenizer_class": "Wav2Vec2CTCTokenizer",
    "pad_token": BLANK,
    "unk_token": BLANK,
    "bos_token": None,
    "eos_token": None,
    "clean_up_tokenization_spaces": False,
    **PROCESSOR,
}


def import_huggingface(folder: Path) -> Imported:
    """Read the encoder of a folder of transformers, of a model type in TYPES; UserError if it is another's.

    Waveforms are normalised if `preprocessor_config.json` or, of transformers 5, `processor_config.json` says so, and
    not where there is neither.
    """
    config = _read_json(require(folder / "config.json", "no folder of transformers"))
    extractor: dict[str, Any] = {"do_normalize": False}
    if (path := folder / "preprocessor_config.json").exists():
        extractor = _read_json(path)
    elif (path := folder / "processor_config.json").exists():
        extractor = _read_json(path).get("feature_extractor", extractor)
    try:
        architecture = read_architecture(config, extractor.get("do_normalize", True), folder)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} lacks or has what no model of its type has: {error}") from error
    weights = _read_weights(folder)
    prefix = config["model_type"].replace("-", "_") + "."
    weights = {name.removeprefix(prefix): weight for name, weight in weights.items()}
    if config["model_type"] == CONFORMER:
        weights = _take_conformer(weights)
    if "masked_spec_embed" not in weights:  # transformers leaves it out of models that are never trained with masks
        weights["masked_spec_embed"] = torch.zeros(architecture.encoder.dim)
    return take_encoder(weights, architecture, transformers_names, HEADS, folder)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}): get it again") from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").exists():
        weights = load_safetensors(folder / "model.safetensors")
    else:
        path = folder / "pytorch_model.bin"
        weights = load_checkpoint(require(path, "nor is model.safetensors there; models in several files are not read"))
    return {
        name.replace("conv.weight_g", "conv.parametrizations.weight.original0").replace(
            "conv.weight_v", "conv.parametrizations.weight.original1"
        ): weight
        for name, weight in weights.items()
    }


def _take_conformer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what is never run or never learned, and make matrices of pointwise convolutions."""
    return {
        name: weight.squeeze(2) if ".pointwise_conv" in name else weight
        for name, weight in weights.items()
        if not name.startswith((UNUSED, FREQUENCIES))
    }


def _their_weights(ours: Mapping[str, Tensor], architecture: ModelConfig) -> dict[str, Tensor]:
    """Undo the import of weights; what a Conformer never runs is as small as can be."""
    weights = give_weights(ours, transformers_names(ours, architecture))
    encoder = architecture.encoder
    if not encoder.conv_kernel:
        return weights
    given = {name: weight[..., None] if ".pointwise_conv" in name else weight for name, weight in weights.items()}
    given[f"{UNUSED}bias"] = torch.zeros(encoder.dim)
    given[f"{UNUSED}parametrizations.weight.original0"] = torch.ones(1, 1, 1)
    given[f"{UNUSED}parametrizations.weight.original1"] = torch.ones(
        encoder.dim, encoder.dim // encoder.pos_conv_groups, 1
    )
    if encoder.positions == "rotary":
        given[FREQUENCIES] = frequencies(encoder.dim // encoder.heads)
    return given


def read_architecture(config: Mapping[str, Any], normalise: bool, folder: Path) -> ModelConfig:
    """Turn the settings of transformers into ours."""
    if config.get("model_type") not in TYPES:
        raise UserError(f"{folder} holds a {config.get('model_type')!r} model, not one of {', '.join(TYPES)}")
    conformer, data2vec = config["model_type"] == CONFORMER, config["model_type"] == "data2vec-audio"
    check_settings(config, CONFORMER_REQUIRED if conformer else REQUIRED, f"{folder}/config.json: ")
    if len(set(config["conv_dim"])) > 1:
        raise UserError(f"{folder}/config.json: conv_dim {config['conv_dim']} has layers of different widths")
    frontend = FrontendConfig(
        "waveform", config["conv_dim"][0], config["conv_kernel"], config["conv_stride"], normalise,
        norm="layer" if data2vec else config["feat_extract_norm"], bias=config["conv_bias"], padding_leaks=True,
    )  # fmt: skip
    settings = {ours: config[theirs] for ours, theirs in ENCODER.items()}
    if conformer:
        encoder = EncoderConfig(
            **settings,
            conv_kernel=config["conv_depthwise_kernel_size"],
            conv_norm="batch",
            positions=POSITIONS[config["position_embeddings_type"]],
            padding_leaks=True,
            pre_norm=True,
        )
        return ModelConfig(frontend, encoder)
    depth = config["num_conv_pos_embeddings"] if data2vec else 1
    encoder = EncoderConfig(
        **settings,
        pos_conv_width=config["conv_pos_kernel_size"] * depth if data2vec else config["num_conv_pos_embeddings"],
        pos_conv_depth=depth,
        pos_conv_norm="layer" if data2vec else "weight",
        positions="gated" if config["model_type"] == "wavlm" else "conv",
        padding_leaks=True,
        pre_norm=config.get("do_stable_layer_norm", False),
    )
    return ModelConfig(frontend, encoder)


def export_encoder(encoder: SpeechEncoder, mask_embedding: Tensor, architecture: ModelConfig, folder: Path) -> None:
    """Write an encoder as a folder that `AutoModel.from_pretrained` opens; UserError where transformers has no such."""
    config = write_architecture(architecture, "Model")
    ours = {**encoder.state_dict(), "mask_embedding": mask_embedding}
    weights = _their_weights(ours, architecture)
    _save(folder, weights, {"config.json": config, "preprocessor_config.json": _preprocessor(architecture)})


def export_ctc(model: CtcModel, architecture: ModelConfig, tokens: Tokens, folder: Path) -> None:
    """Write a CTC model as a folder for `pipeline("automatic-speech-recognition")`; UserError as for an encoder."""
    config = write_architecture(architecture, "ForCTC")
    if tokens.unit.kind == "phone":
        raise UserError(
            "transformers makes words of tokens alone, and this model's tokens are phones: use --to mt4ssl or onnx"
        )
    if model.slots != 1:
        raise UserError(f"transformers has no CTC head with {model.slots} slots a frame: export to ONNX instead")
    ours = {**model.encoder.state_dict(), "mask_embedding": model.mask_embedding.detach()}
    prefix = config["model_type"].replace("-", "_")
    weights = {f"{prefix}.{name}": weight for name, weight in _their_weights(ours, architecture).items()}
    weights.update({f"lm_head.{name}": weight for name, weight in model.head.state_dict().items()})
    # transformers knows "|" as what stands between words (another choice is lost when it opens the folder), and joins
    # other tokens as they are: a piece of sentencepiece that begins a word brings its space along.
    vocab = {"|" if s == BOUNDARY else s.replace(BOUNDARY, " "): number for number, s in enumerate(tokens.symbols)}
    files = {
        "config.json": {**config, "vocab_size": len(tokens), "pad_token_id": 0},
        "preprocessor_config.json": {**_preprocessor(architecture), **PROCESSOR},
        "tokenizer_config.json": TOKENIZER,
        "vocab.json": vocab,
    }
    _save(folder, weights, files)


def write_architecture(architecture: ModelConfig, head: str) -> dict[str, Any]:
    """Turn our settings into those of transformers for `Model` or `ForCTC`; UserError for what it does not have."""
    frontend, encoder = architecture.frontend, architecture.encoder
    if frontend.reads != WAVEFORM:
        remedy = ": export to ONNX, which computes fbank inside" if frontend.type == "fbank" else ""
        raise UserError(f"transformers has no wav2vec 2.0 that reads {frontend.type}{remedy}")
    kind = _kind(architecture)
    config = {
        "model_type": kind,
        "architectures": [CLASSES[kind] + head],
        "conv_dim": [frontend.dim] * len(frontend.kernels),
        "conv_kernel": frontend.kernels,
        "conv_stride": frontend.strides,
        "num_feat_extract_layers": len(frontend.kernels),
        "conv_bias": frontend.bias,
        **{theirs: getattr(encoder, ours) for ours, theirs in ENCODER.items()},
    }
    kernel = max(3, encoder.pos_conv_width // encoder.pos_conv_depth)
    if kind == "data2vec-audio":
        return {**config, "num_conv_pos_embeddings": encoder.pos_conv_depth, "conv_pos_kernel_size": kernel}
    config["feat_extract_norm"] = frontend.norm
    if kind == CONFORMER:
        return {
            **config,
            "hidden_act": "swish",
            "num_conv_pos_embeddings": 1,
            "conv_depthwise_kernel_size": encoder.conv_kernel,
            "conformer_conv_dropout": encoder.dropout,
            "position_embeddings_type": {ours: theirs for theirs, ours in POSITIONS.items()}[encoder.positions],
        }
    return {**config, "num_conv_pos_embeddings": kernel, "do_stable_layer_norm": encoder.pre_norm}


def _kind(architecture: ModelConfig) -> str:
    """Return the `model_type` that computes what this architecture does; UserError if none does."""
    frontend, encoder = architecture.frontend, architecture.encoder
    if encoder.conv_kernel:
        if encoder.conv_norm == "batch" and encoder.pre_norm and encoder.positions in POSITIONS.values():
            return CONFORMER
        raise UserError(
            "transformers has Conformers with conv_norm: batch, pre_norm: true and without positional convolutions "
            "only: export to ONNX instead"
        )
    one_convolution = encoder.pos_conv_norm == "weight" and encoder.pos_conv_depth == 1
    if encoder.positions == "gated" and one_convolution:
        return "wavlm"
    if encoder.positions == "conv":
        if encoder.pos_conv_norm == "layer" and frontend.norm == "layer" and not encoder.pre_norm:
            return "data2vec-audio"
        if one_convolution:
            return "wav2vec2"
    raise UserError("transformers has no model with this mix of front-end, positions and norms: export to ONNX instead")


def _preprocessor(architecture: ModelConfig) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLING_RATE,
        "padding_value": 0.0,
        "do_normalize": architecture.frontend.normalise,
        "return_attention_mask": True,
    }


def _save(folder: Path, weights: Mapping[str, Tensor], files: Mapping[str, Mapping[str, Any]]) -> None:
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(dict(weights), temporary / "model.safetensors", metadata={"format": "pt"})
        for name, content in files.items():
            (temporary / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
