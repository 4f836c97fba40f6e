"""Models of fairseq: MT4SSL whole, for its numbers; encoders of MT4SSL, data2vec, HuBERT and wav2vec 2.0, for use."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from mt4ssl.checkpoint import load_weights
from mt4ssl.errors import UserError
from mt4ssl.interop.unpickle import plain, read_pickle
from mt4ssl.interop.weight_names import Imported, check_settings, fairseq_names, take_encoder, take_weights
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.base import Target
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget

# Wav2Vec2Config's values of what a checkpoint may leave out (fairseq/models/wav2vec/wav2vec2.py).
DEFAULTS = {
    "extractor_mode": "default",
    "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
    "conv_bias": False,
    "encoder_layers": 12,
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "pos_conv_depth": 1,
    "layer_norm_first": False,
}
# EncoderConfig's names -> fairseq's.
ENCODER = {
    "layers": "encoder_layers",
    "dim": "encoder_embed_dim",
    "ffn_dim": "encoder_ffn_embed_dim",
    "heads": "encoder_attention_heads",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layerdrop": "encoder_layerdrop",
    "pos_conv_width": "conv_pos",
    "pos_conv_depth": "pos_conv_depth",
    "pos_conv_groups": "conv_pos_groups",
    "pre_norm": "layer_norm_first",
}
# What this library computes; any other value would be another model.
REQUIRED = {"activation_fn": "gelu", "layer_type": "transformer", "required_seq_len_multiple": (1, 2)}
REQUIRED_IN_TRAINING = {
    "dropout_input": 0.0,
    "dropout_features": 0.0,
    "feature_grad_mult": 1.0,
    "loss_beta": 0.0,
    "loss_scale": None,
    "instance_norm_target_layer": True,
    "batch_norm_target_layer": False,
    "layer_norm_target_layer": False,
    "group_norm_target_layer": False,
    "layer_norm_targets": False,
    "instance_norm_targets": False,
    "ema_transformer_only": True,
    "ema_layers_only": True,
}
# Parts of a pre-training that nothing is fine-tuned from.
HEADS = (
    "_ema", "final_proj", "final_proj_hubert", "label_embs_concat",
    "quantizer", "input_quantizer", "project_q", "target_glu",
)  # fmt: skip


def load_mt4ssl(state_dict: Mapping[str, Any], config: Mapping[str, Any]) -> MT4SSL:
    """Build MT4SSL with the weights of the official model (code/models/multi2vec_audio.py).

    Args:
        state_dict: fairseq's parameter names to tensors; without its entry `_ema` (the teacher's weights, under their
            names in the encoder) the teacher starts as a copy of the student.
        config: fairseq's settings; those left out have fairseq's defaults.

    The K-means target is called "kmeans" and has as many classes as the head: fairseq's dictionaries put four special
    symbols before the clusters. Raises UserError for settings that compute something else, and for weights that lack.

    """
    check_settings(config, {**REQUIRED, **REQUIRED_IN_TRAINING})
    architecture = read_architecture(config, normalise=True)
    weights = {name: weight for name, weight in state_dict.items() if name != "_ema"}
    teacher = state_dict.get("_ema")
    targets, heads = _targets(weights, config, architecture.encoder.layers)
    ema = EmaConfig(
        config.get("ema_decay", 0.999), config.get("ema_end_decay", 0.9999), config.get("ema_anneal_end_step", 30000)
    )
    model = MT4SSL(architecture, targets, ema)
    names = fairseq_names([*model.student.state_dict(), "mask_embedding"], architecture)
    encoder = take_weights(weights, names, "the state dict")
    ours = {"mask_embedding": encoder.pop("mask_embedding")}
    ours.update({f"student.{name}": weight for name, weight in encoder.items()})
    for number, head in enumerate(heads):
        for kind in ("weight", "bias"):
            ours.update(take_weights(weights, {f"heads.{number}.{kind}": [f"{head}.{kind}"]}, "the state dict"))
    if model.teacher is not None:
        ours.update(_teacher(teacher, list(model.teacher.encoder.state_dict()), architecture, encoder))
    load_weights(model, ours, Path("the state dict"))
    return model


def _targets(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], layers: int
) -> tuple[list[Target], tuple[str, ...]]:
    """The targets that `ce_loss` and `mse_loss` switch on, and the names of their heads."""
    targets: dict[str, Target] = {}
    if config.get("ce_loss", True):
        if "final_proj_hubert.weight" not in weights:
            raise UserError("ce_loss is on, but the state dict has no final_proj_hubert.weight")
        targets["final_proj_hubert"] = KMeansTarget(
            "kmeans", clusters=len(weights["final_proj_hubert.weight"]), layer=layers
        )
    if config.get("mse_loss", True):
        targets["final_proj"] = TeacherTarget("teacher", top_k=config.get("average_top_k_layers", 8), layer=layers)
    return list(targets.values()), tuple(targets)


def _teacher(
    ema: Mapping[str, Tensor] | None, ours: Sequence[str], architecture: ModelConfig, student: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The teacher's weights; what `_ema` leaves out (it may lack the positional convolution) is the student's."""
    mine = {f"encoder.{name}": name for name in ours}
    result = {f"teacher.encoder.{name}": student[full] for full, name in mine.items()}
    if ema is not None:
        foreign = {f"encoder.{name}": weight for name, weight in ema.items()}
        names = fairseq_names(mine, architecture)
        present = {name: parts for name, parts in names.items() if parts[0] in foreign or ".position." not in name}
        result.update({f"teacher.{name}": w for name, w in take_weights(foreign, present, "_ema").items()})
    return result


def import_fairseq(path: Path) -> Imported:
    """Read the encoder of a fairseq checkpoint; UserError if it is not of a pre-training that this library knows."""
    checkpoint = read_pickle(path)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("model"), dict):
        raise UserError(f"{path} is no fairseq checkpoint: it has no entry 'model' with weights")
    weights = dict(checkpoint["model"])
    if any(name.startswith(("w2v_encoder.", "encoder.w2v_model.")) for name in weights):
        raise UserError(f"{path} is fine-tuned: import the pre-trained checkpoint that it came from")
    settings, normalise = stored_settings(checkpoint, path)
    check_settings(settings, REQUIRED)
    return take_encoder(weights, read_architecture(settings, normalise), fairseq_names, HEADS, path)


def stored_settings(checkpoint: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], bool]:
    """The model's settings, and whether its task normalises waveforms: from `cfg`, or from `args` of older versions."""
    cfg, args = plain(checkpoint.get("cfg")), plain(checkpoint.get("args"))
    if cfg and not isinstance(cfg.get("model"), dict):
        raise UserError(f"{path} says nothing about a model in its 'cfg': of WavLM take the folder of transformers")
    if cfg:
        return cfg["model"], bool((cfg.get("task") or {}).get("normalize", False))
    if args:
        return args, bool(args.get("normalize", False))
    raise UserError(f"{path} says nothing about its model: neither 'cfg' nor 'args' is in it")


def read_architecture(settings: Mapping[str, Any], normalise: bool) -> ModelConfig:
    """Turn fairseq's settings into ours."""
    get = {**DEFAULTS, **settings}
    try:
        convolutions = _evaluate(ast.parse(get["conv_feature_layers"].strip(), mode="eval").body)
        dims, kernels, strides = zip(*convolutions)
    except (SyntaxError, TypeError, ValueError) as error:
        raise UserError(f"conv_feature_layers: {get['conv_feature_layers']!r} is no list of convolutions") from error
    if len(set(dims)) > 1:
        raise UserError(f"conv_feature_layers: {get['conv_feature_layers']!r} has layers of different widths")
    frontend = FrontendConfig(
        "waveform", dims[0], list(kernels), list(strides), normalise, bias=get["conv_bias"], padding_leaks=True,
        norm="layer" if get["extractor_mode"] == "layer_norm" else "group",
    )  # fmt: skip
    same = {ours: get[theirs] for ours, theirs in ENCODER.items()}
    encoder = EncoderConfig(
        **same, pos_conv_norm="layer" if same["pos_conv_depth"] > 1 else "weight", padding_leaks=True
    )
    return ModelConfig(frontend, encoder)


def _evaluate(node: ast.AST) -> Any:
    """Evaluate lists, tuples, numbers, + and *: all that `conv_feature_layers` is written with."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_evaluate(item) for item in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _evaluate(node.left), _evaluate(node.right)
        return left + right if isinstance(node.op, ast.Add) else left * right
    raise UserError(f"conv_feature_layers: cannot read {ast.unparse(node)!r}")
