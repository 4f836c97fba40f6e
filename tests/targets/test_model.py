"""Targets from a frozen model against what the model itself gives, and against the teacher that starts as it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mt4ssl.errors import UserError
from mt4ssl.inference.folder import save_encoder
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.targets.base import Clean
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.model import ModelTarget
from mt4ssl.targets.teacher import EmaConfig

ENCODER = EncoderConfig(
    layers=3, dim=48, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4, dropout=0.0,
    attention_dropout=0.0, layerdrop=0.0,
)  # fmt: skip
ARCHITECTURE = ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 2]), ENCODER)
INPUTS = torch.randn(2, 80, 80, generator=torch.Generator().manual_seed(1))
MASKED = torch.tensor([2, 3, 4, 22, 23, 24])  # of 20 frames each
NONE = torch.tensor([], dtype=torch.long)


@pytest.fixture
def frozen(tmp_path):
    """A random encoder, and the folder that holds it."""
    torch.manual_seed(7)
    encoder = SpeechEncoder(ARCHITECTURE).eval()
    save_encoder(tmp_path / "frozen", encoder, torch.zeros(48), ARCHITECTURE)
    return encoder, str(tmp_path / "frozen")


def thin(*targets, **changes):
    """A student that is thinner than the frozen model."""
    torch.manual_seed(0)
    architecture = ModelConfig(ARCHITECTURE.frontend, replace(ENCODER, dim=32))
    return MT4SSL(replace(architecture, **changes), targets, EmaConfig()).eval()


def normalised(layer):
    return F.instance_norm(layer.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("frames", ["masked", "all"])
def test_loss_written_out(frozen, frames):
    encoder, folder = frozen
    model = thin(ModelTarget("model", folder, [2, 3], layer=3, frames=frames))
    losses = model(INPUTS, None, {}, MASKED)
    layers, _ = encoder(INPUTS, None)
    target = (normalised(layers[1]) + normalised(layers[2])) / 2
    features, _ = model.student.project(INPUTS, None)
    seen = features.flatten(0, 1).index_copy(0, MASKED, model.mask_embedding.expand(6, -1)).view_as(features)
    prediction = model.heads[0](model.student.encoder(seen)[0][2])
    errors = (prediction - target).square().sum(2).flatten() / 48**0.5
    mean = (errors[MASKED] if frames == "masked" else errors).mean()
    assert losses.frames == 6
    torch.testing.assert_close(losses.loss / losses.frames, mean, rtol=1e-4, atol=1e-4)


def test_a_layer_in_the_middle_of_pre_norm_layers_has_no_final_norm(tmp_path):
    architecture = replace(ARCHITECTURE, encoder=replace(ENCODER, pre_norm=True))
    torch.manual_seed(7)
    encoder = SpeechEncoder(architecture).eval()
    save_encoder(tmp_path, encoder, torch.zeros(48), architecture)
    for number in (2, 3):
        answers = thin(ModelTarget("model", str(tmp_path), [number], layer=3)).answers[0]
        truth = answers(Clean(INPUTS, None, {}, 20, None, [], NONE))
        torch.testing.assert_close(truth, normalised(encoder(INPUTS, None)[0][number - 1]))


def test_all_frames_of_unmasked_input(frozen):
    encoder, folder = frozen
    model = thin(ModelTarget("model", folder, [3], layer=3, frames="all"))
    losses = model(INPUTS, None, {}, NONE)
    outputs, _ = model.student(INPUTS, None)
    errors = (model.heads[0](outputs[2]) - normalised(encoder(INPUTS, None)[0][2])).square().sum(2) / 48**0.5
    assert losses.frames == 40
    torch.testing.assert_close(losses.loss, errors.sum(), rtol=1e-4, atol=1e-3)


def test_padding_is_no_frame(frozen):
    model = thin(
        ModelTarget("model", frozen[1], [3], layer=3, frames="all"), KMeansTarget("kmeans", clusters=5, layer=3)
    )
    labels = {"kmeans": torch.zeros(1, 20, dtype=torch.long)}
    alone = model(INPUTS[:1], None, labels, MASKED[:3])
    labels["kmeans"] = F.pad(labels["kmeans"], (0, 5))
    padded = model(F.pad(INPUTS[:1], (0, 0, 0, 20)), torch.tensor([80]), labels, MASKED[:3])
    torch.testing.assert_close(padded.loss, alone.loss, rtol=1e-4, atol=1e-4)


def test_the_model_stays_as_it_is(frozen):
    encoder, folder = frozen
    model = thin(ModelTarget("model", folder, [2], layer=3)).train()
    model(INPUTS, None, {}, MASKED).loss.backward()
    answers = model.answers[0]
    assert not answers.encoder.training and len(answers.encoder.encoder.layers) == 2
    assert all(p.grad is None and not p.requires_grad for p in answers.parameters())
    assert torch.equal(answers.encoder.encoder.layers[1].fc1.weight, encoder.encoder.layers[1].fc1.weight)


def test_models_that_do_not_fit_are_refused(frozen):
    with pytest.raises(UserError, match="target of layer 4 of .*frozen, which has 3 layers"):
        thin(ModelTarget("model", frozen[1], [4], layer=3))
    with pytest.raises(
        UserError, match="frozen reads fbank every 0.04 s, but model.frontend waveform every 0.02 s: give"
    ):
        thin(ModelTarget("model", frozen[1], [3], layer=3), frontend=FrontendConfig())


def code_teacher(folder, **changes):
    """A random encoder of labels, of which there are 7, one every 40 ms; saved in a folder."""
    frontend = replace(FrontendConfig("codes", 24, [], [], labels="units", label_rate=25, classes=7), **changes)
    torch.manual_seed(7)
    encoder = SpeechEncoder(ModelConfig(frontend, ENCODER)).eval()
    save_encoder(folder, encoder, torch.zeros(48), ModelConfig(frontend, ENCODER))
    return encoder


def test_a_code_teacher_reads_the_labels(tmp_path):
    encoder = code_teacher(tmp_path / "codes")
    units = torch.randint(7, (2, 20), generator=torch.Generator().manual_seed(2))
    target = ModelTarget("model", str(tmp_path / "codes"), [2, 3], codes="units", layer=3, frames="all")
    assert target.labels == "units"
    model = thin(target.with_classes(7))
    losses = model(INPUTS, None, {"units": units}, NONE)
    layers, outputs = encoder(units, None)[0], model.student(INPUTS, None)[0]
    answers = (normalised(layers[1]) + normalised(layers[2])) / 2
    errors = (model.heads[0](outputs[2]) - answers).square().sum(2) / 48**0.5
    assert losses.frames == 40
    torch.testing.assert_close(losses.loss, errors.sum(), rtol=1e-4, atol=1e-3)

    alone = model(INPUTS[:1], None, {"units": units[:1]}, NONE)
    padded_units = F.pad(units[:1], (0, 5), value=3)
    padded = model(F.pad(INPUTS[:1], (0, 0, 0, 20)), torch.tensor([80]), {"units": padded_units}, NONE)
    torch.testing.assert_close(padded.loss, alone.loss, rtol=1e-4, atol=1e-4)


def test_code_teachers_that_do_not_fit_are_refused(frozen, tmp_path):
    folder = str(tmp_path / "codes")
    target = ModelTarget("model", folder, [3], codes="units", layer=3)
    code_teacher(folder)
    with pytest.raises(UserError, match="codes reads units, but is given speech: `codes` of the target names"):
        thin(replace(target, codes=None))
    with pytest.raises(UserError, match="codes reads units, but is given phones"):
        thin(replace(target, codes="phones"))
    with pytest.raises(UserError, match="codes knows 7 labels, but there are 8 'units': train it on these"):
        thin(target.with_classes(8))
    reads_more = FrontendConfig("codes", 24, [], [], labels="units", label_rate=25, classes=9)
    with pytest.raises(UserError, match="codes knows 7 labels, but there are 9 'units': train it on these"):
        thin(replace(target, codes=None), frontend=reads_more)
    with pytest.raises(UserError, match="frozen reads speech, but is given units"):
        thin(replace(target, checkpoint=frozen[1]))
    for changes in (dict(label_rate=50), dict(label_rate=50, kernels=[3], strides=[2])):
        code_teacher(folder, **changes)
        with pytest.raises(UserError, match="give the student the same frames, and a model of codes no strides"):
            thin(target)
