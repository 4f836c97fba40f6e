"""Random models of transformers, the same in fairseq's format, and their layers next to ours."""

import re

import torch
import transformers

from mt4ssl.models.speech import SpeechEncoder

SIZES = dict(
    hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, conv_dim=(32,) * 7,
    num_conv_pos_embedding_groups=4,
)  # fmt: skip
LARGE = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
POSITIONS = dict(num_conv_pos_embeddings=16)
MODELS = {
    "data2vec": transformers.Data2VecAudioConfig(**SIZES, conv_pos_kernel_size=5),
    "wav2vec2 base": transformers.Wav2Vec2Config(**SIZES, **POSITIONS),
    "wav2vec2 large": transformers.Wav2Vec2Config(**SIZES, **POSITIONS, **LARGE),
    "hubert base": transformers.HubertConfig(**SIZES, **POSITIONS),
    "hubert large": transformers.HubertConfig(**SIZES, **POSITIONS, **LARGE),
}


def random_model(config):
    """A model whose biases and norms are random too."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def padded_batch():
    """Two utterances of 1.0 and 0.7 s, padded with zeros."""
    waveforms, lengths = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1)), torch.tensor([16000, 11200])
    waveforms[1, 11200:] = 0
    return waveforms, lengths


def assert_same_layers(theirs, ours: SpeechEncoder):
    waveforms, lengths = padded_batch()
    attention_mask = (torch.arange(16000)[None] < lengths[:, None]).long()
    with torch.no_grad():
        result = theirs(waveforms, attention_mask=attention_mask, output_hidden_states=True)
        outputs, frames = ours(waveforms, lengths)
    # With pre-norm layers the last output is the normalised one, which heads read.
    expected = [*result.hidden_states[1:-1], result.last_hidden_state]
    assert len(outputs) == len(expected)
    for output, layer in zip(outputs, expected):
        for row, other, count in zip(output, layer, frames):
            torch.testing.assert_close(row[:count], other[:count], rtol=0, atol=1e-5)


# transformers' names -> fairseq's (transformers' own conversion scripts have the same list).
RENAME = {
    r"^masked_spec_embed": "mask_emb",
    r"^feature_projection\.layer_norm": "layer_norm",
    r"^feature_projection\.projection": "post_extract_proj",
    r"(conv_layers\.\d+)\.conv\.": r"\1.0.",
    r"pos_conv_embed\.layers\.(\d+)\.conv": r"pos_conv.\1.0",
    r"pos_conv_embed\.conv\.parametrizations\.weight\.original0": "pos_conv.0.weight_g",
    r"pos_conv_embed\.conv\.parametrizations\.weight\.original1": "pos_conv.0.weight_v",
    r"pos_conv_embed\.conv": "pos_conv.0",
    r"(layers\.\d+)\.layer_norm": r"\1.self_attn_layer_norm",
    r"(layers\.\d+)\.attention\.": r"\1.self_attn.",
    r"feed_forward\.intermediate_dense": "fc1",
    r"feed_forward\.output_dense": "fc2",
}


def fairseq_weights(model) -> dict[str, torch.Tensor]:
    norm = "2" if getattr(model.config, "feat_extract_norm", "layer") == "group" else "2.1"
    weights = {}
    for theirs, weight in model.state_dict().items():
        name = theirs
        for pattern, replacement in {r"(conv_layers\.\d+)\.layer_norm": rf"\1.{norm}", **RENAME}.items():
            name = re.sub(pattern, replacement, name)
        weights[name] = weight
    return weights


def fairseq_settings(config) -> dict:
    data2vec = config.model_type == "data2vec-audio"
    return {
        "extractor_mode": "layer_norm" if data2vec or config.feat_extract_norm == "layer" else "default",
        "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
        "conv_bias": config.conv_bias,
        "encoder_layers": 3,
        "encoder_embed_dim": 48,
        "encoder_ffn_embed_dim": 96,
        "encoder_attention_heads": 4,
        "conv_pos": 25 if data2vec else 16,
        "conv_pos_groups": 4,
        "pos_conv_depth": 5 if data2vec else 1,
        "layer_norm_first": getattr(config, "do_stable_layer_norm", False),
    }
