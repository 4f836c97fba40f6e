"""The student that encodes visible frames alone, against the whole encoder; its decoder against the official one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.models.decoder import Decoder, DecoderConfig, encode_visible, visible_frames
from mt4ssl.models.encoder import EncoderConfig, Transformer
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget

# Three updates of fairseq's data2vec 2.0 (3d262bb, examples/data2vec/models/data2vec2.py; torch 1.13.1, CPU, fp32): two
# utterances with two masks each; no dropout, no noise, and a teacher that stays as it starts. With ALiBi, which has a
# scale for each head, one of them negative, all else starts the same.
REFERENCE, ALIBI = (
    {
        name: torch.from_numpy(np.asarray(array))
        for name, array in np.load(Path(__file__).with_name(f"data2vec2_{kind}tiny.npz")).items()
    }
    for kind in ("reference_", "alibi_")
)
MODALITY = "modality_encoders.AUDIO"
NAMES = {  # beginnings of the official names -> ours
    **{
        f"{MODALITY}.local_encoder.conv_layers.{n}.{theirs}": f"student.frontend.layers.{n}.{ours}"
        for n in range(7)
        for theirs, ours in (("0", "conv"), ("2.1", "norm"))
    },
    f"{MODALITY}.project_features.1": "student.feature_norm",
    f"{MODALITY}.project_features.2": "student.projection",
    **{
        f"{MODALITY}.relative_positional_encoder.{n + 1}.0": f"student.encoder.position.layers.{n}" for n in range(3)
    },
    f"{MODALITY}.alibi_scale": "student.encoder.distances.scale",
    f"{MODALITY}.context_encoder.norm": "student.encoder.norm",
    **{f"{MODALITY}.decoder.blocks.{n}.0": f"decoder.layers.{n}" for n in range(2)},
    f"{MODALITY}.decoder.proj": "heads.0",
    **{
        f"blocks.{n}.{theirs}": f"student.encoder.layers.{n}.{ours}"
        for n in range(3)
        for theirs, ours in (
            ("norm1", "attention_norm"), ("attn.qkv", "qkv"), ("attn.proj", "out"), ("norm2", "final_norm"),
            ("mlp.fc1", "fc1"), ("mlp.fc2", "fc2"),
        )
    },
}  # fmt: skip
ENCODER = EncoderConfig(layers=3, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4)
DECODER = DecoderConfig(dim=16, layers=2, kernel=5, groups=4)
TARGETS = [KMeansTarget("kmeans", clusters=7, layer=3), TeacherTarget("teacher", top_k=2, layer=3, weight=0.5)]


def make(copies=1, targets=TARGETS, encoder=ENCODER, decoder=DECODER):
    torch.manual_seed(0)
    config = ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 2]), encoder)
    return MT4SSL(config, targets, EmaConfig(), decoder, copies).eval()


def batch(copies):
    """Two utterances of 20 frames, their labels, and a mask of 8 frames for each copy."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.stack([torch.randperm(20, generator=generator) < 8 for _ in range(2 * copies)])
    return torch.randn(2, 80, 80, generator=generator), torch.randint(7, (2, 20), generator=generator), mask


def losses(model, inputs, labels, mask):
    return model(inputs, None, {"kmeans": labels}, mask.flatten().nonzero()[:, 0])


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("positions", ["conv", "gated", "alibi", "none"])
def test_visible_frames_are_encoded_as_if_masked_ones_were_hidden(positions, pre_norm):
    encoder = Transformer(replace(ENCODER, positions=positions, pre_norm=pre_norm)).eval()
    _, _, mask = batch(1)
    features = torch.randn(2, 20, 32).masked_fill(mask[..., None], 0.0)
    visible = visible_frames(mask.flatten().nonzero()[:, 0], 2, 20)
    outputs = encoder.run(encoder.embed(features), padding=mask)[0][-1]
    for row, numbers, hidden, output in zip(encode_visible(encoder, features, visible), visible, mask, outputs):
        assert numbers.tolist() == (~hidden).nonzero()[:, 0].tolist()
        torch.testing.assert_close(row, output[~hidden], rtol=1e-4, atol=1e-5)


def official_model(positions):
    """Our model with the official weights."""
    frontend = FrontendConfig("waveform", 16, normalise=False)
    encoder = replace(ENCODER, positions=positions, dropout=0.0, attention_dropout=0.0, layerdrop=0.0)
    decoder = DecoderConfig(dim=16, layers=2, kernel=7, groups=4)
    target = TeacherTarget("teacher", top_k=2, layer=3)
    model = MT4SSL(ModelConfig(frontend, encoder), [target], EmaConfig(), decoder, copies=2).eval()
    weights = {
        f"{ours}.{kind}": REFERENCE[f"init/{theirs}.{kind}"]
        for theirs, ours in NAMES.items()
        for kind in ("weight", "bias")
        if f"init/{theirs}.{kind}" in REFERENCE
    }
    assert len(weights) == sum(name.startswith("init/") for name in REFERENCE)
    if positions == "alibi":
        weights["student.encoder.distances.scale"] = ALIBI[f"init/{MODALITY}.alibi_scale"].flatten()
    teacher = {name.replace("student.", "teacher."): w for name, w in weights.items() if "student.encoder." in name}
    model.load_state_dict({**weights, **teacher, "mask_embedding": torch.zeros(32)})
    return model


@pytest.mark.parametrize(("positions", "reference"), [("conv", REFERENCE), ("alibi", ALIBI)])
def test_three_updates_of_data2vec_2(positions, reference):
    model = official_model(positions)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
    for step in range(3):
        result = losses(model, REFERENCE["source"], None, REFERENCE["mask"])
        assert result.frames == 40
        assert result.loss.item() == pytest.approx(reference[f"step{step}/loss"].item(), rel=1e-4)
        optimizer.zero_grad()
        (result.loss / result.frames).backward()
        if step == 0:
            gradients = [name for name in reference if name.startswith("grad/")]
            assert len(gradients) == (3 if positions == "conv" else 4)
            for name in gradients:
                weight = ".weight" if name.endswith(".weight") else ""
                ours = parameters[NAMES[name.removeprefix("grad/").removesuffix(".weight")] + weight].grad
                torch.testing.assert_close(ours, reference[name].view_as(ours), rtol=1e-3, atol=1e-6)
        optimizer.step()


def test_the_decoder_reads_encoded_frames_in_their_places():
    decoder = Decoder(DECODER, inputs=32).eval()
    encoded, visible = torch.randn(1, 3, 32), torch.tensor([[0, 2, 5]])
    whole = torch.zeros(1, 6, 32)
    whole[0, [0, 2, 5]] = encoded[0]
    assert torch.equal(decoder(encoded, visible, 6), decoder.decode(whole))
    assert not torch.equal(decoder.train()(encoded, visible, 6), decoder.decode(whole))  # noise, dropout


@pytest.mark.parametrize("decoder", [DECODER, None], ids=["visible", "replaced"])
def test_several_masks_are_as_many_trainings(decoder):
    """Sums over three masks of each utterance are those of three calls with one mask."""
    several, single = make(3, decoder=decoder), make(1, decoder=decoder)
    single.load_state_dict(several.state_dict())
    inputs, labels, mask = batch(3)
    together = losses(several, inputs, labels, mask)
    alone = [losses(single, inputs, labels, mask[copy::3]) for copy in range(3)]
    assert together.frames == sum(each.frames for each in alone) == 48
    torch.testing.assert_close(together.loss / 48, sum(each.loss / 16 for each in alone) / 3)
    for name in ("0_kmeans", "0_kmeans_accuracy", "1_teacher"):
        torch.testing.assert_close(together.sums[name], sum(each.sums[name] for each in alone))


def test_nothing_of_what_is_masked_is_seen():
    model = make(targets=TARGETS[:1])
    inputs, labels, mask = batch(1)
    mask[:], mask[:, 0] = True, False
    before = losses(model, inputs, labels, mask).loss
    changed = inputs.clone()
    changed[:, 40:] = inputs[:, 40:].flip(1)  # the mean and the variance of the utterance stay, so does frame 0
    torch.testing.assert_close(losses(model, changed, labels, mask).loss, before)


def test_gradients_reach_all_that_learns():
    model = make(2).train()
    losses(model, *batch(2)).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None and not name.startswith("teacher")]
    assert without == ["mask_embedding"]


@pytest.mark.parametrize("changes", [{"conv_kernel": 7}, *({"positions": kind} for kind in ("relative", "rotary"))])
def test_layers_that_do_not_know_what_was_taken_out_are_refused(changes):
    with pytest.raises(UserError, match="set model.encoder.conv_kernel to 0, and model.encoder.positions to conv, ga"):
        make(encoder=replace(ENCODER, **changes))


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(UserError, match="model.encoder.dim 32 must be a multiple of decoder.groups 12"):
        make(decoder=replace(DECODER, dim=24, groups=12))


def test_only_the_last_layer_is_decoded():
    with pytest.raises(UserError, match="only the last layer can be read: layer 3"):
        make(targets=[KMeansTarget("kmeans", layer=2)])
