"""Weights of a SpeechEncoder by the names that fairseq and transformers have for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mt4ssl.checkpoint import load_weights
from mt4ssl.errors import UserError
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

Names = dict[str, list[str]]
"""Our name -> the foreign one, or three whose tensors are stacked in ours: query, key and value."""


def fairseq_names(ours: Iterable[str], architecture: ModelConfig) -> Names:
    """Names in fairseq's Wav2Vec2Model, HubertModel, Data2VecAudioModel and MT4SSL's Data2VecMultiModel."""
    norm = "2.1" if architecture.frontend.norm == "layer" else "2"
    position = r"\1.0" if architecture.encoder.pos_conv_norm == "layer" else "0"
    rules = {
        r"^mask_embedding": "mask_emb",
        r"^feature_norm": "layer_norm",
        r"^projection": "post_extract_proj",
        r"^frontend\.layers\.(\d+)\.conv": r"feature_extractor.conv_layers.\1.0",
        r"^frontend\.layers\.(\d+)\.norm": rf"feature_extractor.conv_layers.\1.{norm}",
        r"^encoder\.position\.layers\.(\d+)": f"encoder.pos_conv.{position}",
        r"parametrizations\.weight\.original0": "weight_g",
        r"parametrizations\.weight\.original1": "weight_v",
        r"^encoder\.norm": "encoder.layer_norm",
        r"\.qkv\.": ".self_attn.qkv_proj.",
        r"\.out\.": ".self_attn.out_proj.",
        r"\.attention_norm\.": ".self_attn_layer_norm.",
        r"\.final_norm\.": ".final_layer_norm.",
    }
    return _rename(ours, rules)


TRANSFORMER_LAYER = {
    r"\.qkv\.": ".attention.qkv_proj.",
    r"\.out\.": ".attention.out_proj.",
    r"\.attention_norm\.": ".layer_norm.",
    r"\.gate\.projection\.": ".attention.gru_rel_pos_linear.",
    r"\.gate\.scale": ".attention.gru_rel_pos_const",
    r"\.fc1\.": ".feed_forward.intermediate_dense.",
    r"\.fc2\.": ".feed_forward.output_dense.",
}
CONFORMER_LAYER = {
    r"\.first_ffn\.0\.": ".ffn1_layer_norm.",
    r"\.first_ffn\.1\.": ".ffn1.intermediate_dense.",
    r"\.first_ffn\.4\.": ".ffn1.output_dense.",
    r"\.attention_norm\.": ".self_attn_layer_norm.",
    r"\.qkv\.": ".self_attn.linear_qkv.",
    r"\.out\.": ".self_attn.linear_out.",
    r"\.relative\.projection\.": ".self_attn.linear_pos.",
    r"\.relative\.content_bias": ".self_attn.pos_bias_u",
    r"\.relative\.position_bias": ".self_attn.pos_bias_v",
    r"\.convolution\.input_norm\.": ".conv_module.layer_norm.",
    r"\.convolution\.norm\.": ".conv_module.batch_norm.",
    r"\.convolution\.(pointwise|depthwise)(\d?)\.": r".conv_module.\1_conv\2.",
    r"\.ffn_norm\.": ".ffn2_layer_norm.",
    r"\.fc1\.": ".ffn2.intermediate_dense.",
    r"\.fc2\.": ".ffn2.output_dense.",
}


def transformers_names(ours: Iterable[str], architecture: ModelConfig) -> Names:
    """Names in transformers' Wav2Vec2Model, HubertModel, Data2VecAudioModel, Wav2Vec2ConformerModel and WavLMModel."""
    position = r"layers.\1.conv" if architecture.encoder.pos_conv_norm == "layer" else "conv"
    rules = {
        r"^mask_embedding": "masked_spec_embed",
        r"^feature_norm": "feature_projection.layer_norm",
        r"^projection": "feature_projection.projection",
        r"^frontend\.layers\.(\d+)\.conv": r"feature_extractor.conv_layers.\1.conv",
        r"^frontend\.layers\.(\d+)\.norm": r"feature_extractor.conv_layers.\1.layer_norm",
        r"^encoder\.position\.layers\.(\d+)": f"encoder.pos_conv_embed.{position}",
        r"^encoder\.norm": "encoder.layer_norm",
        r"^encoder\.distances\.embedding": "encoder.layers.0.attention.rel_attn_embed",
        r"\.final_norm\.": ".final_layer_norm.",
    }
    return _rename(ours, rules | (CONFORMER_LAYER if architecture.encoder.conv_kernel else TRANSFORMER_LAYER))


def _rename(ours: Iterable[str], rules: Mapping[str, str]) -> Names:
    names = {}
    for name in ours:
        foreign = name
        for pattern, replacement in rules.items():
            foreign = re.sub(pattern, replacement, foreign)
        names[name] = [foreign.replace("qkv", part) for part in "qkv"] if ".qkv." in name else [foreign]
    return names


def take_weights(foreign: dict[str, Tensor], names: Names, source: str) -> dict[str, Tensor]:
    """Move the named weights out of `foreign`, under our names; UserError for one that `source` lacks."""
    missing = [name for parts in names.values() for name in parts if name not in foreign]
    if missing:
        raise UserError(f"{source} has no weight {missing[0]!r} ({len(missing)} are missing): its settings do not fit")
    return {
        ours: torch.cat([foreign.pop(name) for name in parts]) if len(parts) > 1 else foreign.pop(parts[0])
        for ours, parts in names.items()
    }


class Imported(NamedTuple):
    """An encoder from elsewhere, its mask embedding (C,), and the names of the weights that have no place in it."""

    encoder: SpeechEncoder
    mask_embedding: Tensor
    architecture: ModelConfig
    left_out: list[str]


def take_encoder(
    foreign: dict[str, Tensor],
    architecture: ModelConfig,
    names: Callable[[Iterable[str], ModelConfig], Names],
    heads: Collection[str],
    source: Path,
) -> Imported:
    """Build the encoder of foreign weights, in eval mode.

    Raises UserError for weights that `source` lacks or that do not fit, and for one that is left over, if it is of
    none of the `heads`, parts that no encoder needs.
    """
    encoder = SpeechEncoder(architecture)
    ours = take_weights(foreign, names([*encoder.state_dict(), "mask_embedding"], architecture), str(source))
    mask_embedding = ours.pop("mask_embedding")
    unknown = [name for name in foreign if name.split(".")[0] not in heads]
    if unknown:
        raise UserError(f"{source}: no place for the weight {unknown[0]!r} ({len(unknown)} in all)")
    load_weights(encoder, ours, source)
    return Imported(encoder.eval(), mask_embedding, architecture, sorted(foreign))


def check_settings(settings: Mapping[str, Any], required: Mapping[str, Any], source: str = "") -> None:
    """Raise UserError naming a setting that makes another model than this library's."""
    for name, value in required.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if name in settings and settings[name] not in allowed:
            supported = " or ".join(map(repr, allowed))
            raise UserError(f"{source}{name}: {settings[name]!r} is not supported, only {supported}")


def give_weights(weights: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Return our weights under their foreign names."""
    return {
        name: part.contiguous()
        for ours, parts in names.items()
        for name, part in zip(parts, weights[ours].chunk(len(parts)) if len(parts) > 1 else [weights[ours]])
    }
