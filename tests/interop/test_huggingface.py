"""Against transformers: random weights in, hidden states of every layer equal; out again, bit-identical."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from random_models import LARGE, MODELS, POSITIONS, SIZES, assert_same_layers, random_model

from mt4ssl.decode.greedy import greedy_search
from mt4ssl.errors import UserError
from mt4ssl.interop.huggingface import export_ctc, export_encoder, import_huggingface
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder


def conformer(positions, **settings):
    return transformers.Wav2Vec2ConformerConfig(
        **SIZES, **POSITIONS, **settings, hidden_act="swish", conv_depthwise_kernel_size=7,
        position_embeddings_type=positions,
    )  # fmt: skip


CONFORMERS = {
    "conformer": conformer(None),
    "conformer rotary": conformer("rotary"),
    "conformer large relative": conformer("relative", **LARGE),
}


WAVLMS = {
    "wavlm base": transformers.WavLMConfig(**SIZES, **POSITIONS),
    "wavlm large": transformers.WavLMConfig(**SIZES, **POSITIONS, **LARGE),
}


def very_random_model(config):
    """Statistics of BatchNorm are random too, and WavLM's bias of distances and its gates are far from their start."""
    model = random_model(config)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    for name, parameter in model.named_parameters():
        if "gru_rel_pos" in name or "rel_attn_embed" in name:
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("name", MODELS | CONFORMERS | WAVLMS)
def test_hidden_states_in_and_out(name, tmp_path):
    theirs = very_random_model((MODELS | CONFORMERS | WAVLMS)[name])
    theirs.save_pretrained(tmp_path / "theirs")
    imported = import_huggingface(tmp_path / "theirs")
    assert_same_layers(theirs, imported.encoder)
    assert not imported.left_out

    export_encoder(imported.encoder, imported.mask_embedding, imported.architecture, tmp_path / "exported")
    opened, report = transformers.AutoModel.from_pretrained(tmp_path / "exported", output_loading_info=True)
    assert_same_layers(opened, imported.encoder)
    assert not any(report.values())
    again = import_huggingface(tmp_path / "exported")
    assert again.architecture == imported.architecture
    for weight, other in zip(imported.encoder.state_dict().items(), again.encoder.state_dict().items()):
        assert weight[0] == other[0] and torch.equal(weight[1], other[1])
    assert torch.equal(imported.mask_embedding, again.mask_embedding)


def test_old_and_fine_tuned_folders(tmp_path):
    torch.manual_seed(0)
    theirs = transformers.HubertForCTC(MODELS["hubert base"]).eval()
    weights = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): weight
        for name, weight in theirs.state_dict().items()
    }
    torch.save(weights, tmp_path / "pytorch_model.bin")
    theirs.config.save_pretrained(tmp_path)
    imported = import_huggingface(tmp_path)
    assert_same_layers(theirs.hubert, imported.encoder)
    assert imported.left_out == ["lm_head.bias", "lm_head.weight"]


@pytest.mark.parametrize("alone", [True, False], ids=["preprocessor_config", "processor_config"])
def test_normalisation_is_the_folder_s(alone, tmp_path):
    random_model(MODELS["data2vec"]).save_pretrained(tmp_path)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    if alone:
        extractor.save_pretrained(tmp_path)
    else:  # in one file with the tokenizer, as transformers 5 writes processors
        (tmp_path / "vocab.json").write_text('{"<pad>": 0, "|": 1, "A": 2}')
        tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
        transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(tmp_path)
        assert not (tmp_path / "preprocessor_config.json").exists()
    imported = import_huggingface(tmp_path)
    assert imported.architecture.frontend.normalise
    waveform = 0.1 * torch.randn(8000) + 0.05
    features = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_values
    theirs = transformers.AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        ours, _ = imported.encoder(waveform[None], torch.tensor([8000]))
        torch.testing.assert_close(ours[-1], theirs(features).last_hidden_state, rtol=0, atol=2e-5)


ARCHITECTURE = ModelConfig(
    FrontendConfig("waveform", 32),
    EncoderConfig(layers=2, dim=48, ffn_dim=96, heads=4, pos_conv_width=25, pos_conv_groups=4),
)
CONFORMER = replace(ARCHITECTURE.encoder, conv_kernel=7, conv_norm="batch", positions="none", pre_norm=True)
WAVLM = replace(ARCHITECTURE.encoder, positions="gated", pos_conv_norm="weight", pos_conv_depth=1)
LANGS = {"characters": ["<blk>", "▁", "A", "B", "C", "'"], "sentencepiece": ["<blk>", "▁A", "▁B", "C", "▁", "AB"]}


@pytest.mark.parametrize("encoder", [ARCHITECTURE.encoder, CONFORMER, WAVLM], ids=["data2vec", "conformer", "wavlm"])
@pytest.mark.parametrize("kind", LANGS)
def test_ctc_model_in_the_pipeline(kind, encoder, tmp_path):
    architecture = replace(ARCHITECTURE, encoder=encoder)
    (tmp_path / "tokens.txt").write_text("".join(f"{s} {n}\n" for n, s in enumerate(LANGS[kind])), encoding="utf-8")
    tokens = Tokens(tmp_path)
    torch.manual_seed(0)
    model = CtcModel(architecture, CtcConfig(), len(tokens)).eval()
    torch.nn.init.normal_(model.head.weight, std=1.0)
    export_ctc(model, architecture, tokens, tmp_path / "exported")
    recognise = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "exported"))
    texts = set()
    for seed in range(5):
        samples = np.random.default_rng(seed).normal(0.01, 0.05, 8000 + 1000 * seed).astype(np.float32)
        with torch.no_grad():
            log_probs, _ = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        text = tokens.decode(greedy_search(log_probs[0].numpy()))
        transcribed = recognise({"raw": samples, "sampling_rate": 16000})["text"]
        assert transcribed.split() == text.split()
        texts.add(text)
    assert len(texts) == 5 and any(len(text.split()) > 1 for text in texts)


def test_what_transformers_has_not(tmp_path):
    mask = torch.zeros(48)
    for architecture, message in (
        (ModelConfig(FrontendConfig("fbank", 32, [3], [2]), ARCHITECTURE.encoder), "export to ONNX"),
        (ModelConfig(FrontendConfig("waveform", 32, norm="group"), ARCHITECTURE.encoder), "no model with this mix"),
        (replace(ARCHITECTURE, encoder=replace(ARCHITECTURE.encoder, positions="none")), "no model with this mix"),
        (replace(ARCHITECTURE, encoder=replace(ARCHITECTURE.encoder, positions="alibi")), "no model with this mix"),
        (replace(ARCHITECTURE, encoder=replace(CONFORMER, conv_norm="layer")), "Conformers with conv_norm: batch"),
        (replace(ARCHITECTURE, encoder=replace(CONFORMER, positions="conv")), "Conformers with conv_norm: batch"),
        (replace(ARCHITECTURE, encoder=replace(CONFORMER, positions="gated")), "Conformers with conv_norm: batch"),
        (replace(ARCHITECTURE, encoder=replace(WAVLM, pos_conv_depth=5)), "no model with this mix"),
    ):
        with pytest.raises(UserError, match=message):
            export_encoder(SpeechEncoder(architecture), mask, architecture, tmp_path / "no")
    model = CtcModel(ARCHITECTURE, CtcConfig(slots=2), 4)
    (tmp_path / "tokens.txt").write_text("<blk> 0\nA 1\nB 2\nC 3\n")
    with pytest.raises(UserError, match="2 slots"):
        export_ctc(model, ARCHITECTURE, Tokens(tmp_path), tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hidden_act": "gelu"}, "hidden_act: 'gelu' is not supported, only 'swish' or 'silu'"),
        ({"position_embeddings_type": "learned"}, "position_embeddings_type: 'learned' is not supported, only None"),
        ({"conv_depthwise_kernel_size": 9}, "does not fit the model: size mismatch for .*depthwise"),
    ],
)
def test_conformers_that_do_not_fit(change, message, tmp_path):
    random_model(CONFORMERS["conformer"]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=message):
        import_huggingface(tmp_path)


def test_wavlm_with_other_buckets(tmp_path):
    random_model(transformers.WavLMConfig(**SIZES, **POSITIONS, max_bucket_distance=1280)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="max_bucket_distance: 1280 is not supported, only 800"):
        import_huggingface(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "bert"}, "'bert' model"),
        ({"hidden_act": "relu"}, "hidden_act: 'relu'"),
        ({"conv_dim": [32] * 6 + [64]}, "different widths"),
        ({"num_hidden_layers": 5}, "has no weight 'encoder.layers.3"),
        ({"num_hidden_layers": 2}, "no place for the weight 'encoder.layers.2"),
    ],
)
def test_folders_that_do_not_fit(change, message, tmp_path):
    random_model(MODELS["wav2vec2 base"]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=message):
        import_huggingface(tmp_path)


def test_damaged_folders(tmp_path):
    random_model(MODELS["wav2vec2 base"]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match="model.safetensors is no whole file of safetensors"):
        import_huggingface(tmp_path)
    del config["conv_bias"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="config.json lacks or has what no model of its type has: 'conv_bias'"):
        import_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json is no JSON"):
        import_huggingface(tmp_path)


def test_a_narrow_positional_convolution_is_as_wide_there(tmp_path):
    encoder = replace(WAVLM, positions="conv", pos_conv_width=1)
    architecture = replace(ARCHITECTURE, encoder=encoder)
    model = SpeechEncoder(architecture).eval()
    export_encoder(model, torch.zeros(48), architecture, tmp_path)
    _, report = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
