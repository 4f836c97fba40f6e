"""The model against the losses written out, and the rules of its targets."""

import copy

import pytest
import torch
import torch.nn.functional as F

from mt4ssl.errors import UserError
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget

ENCODER = EncoderConfig(
    layers=3, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4,
    dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
)  # fmt: skip
FRONTENDS = {
    "fbank": (FrontendConfig("fbank", 24, [3, 3], [2, 2]), torch.randn(2, 80, 80)),
    "waveform": (FrontendConfig("waveform", 24), torch.randn(2, 6640)),
}
BOTH = [KMeansTarget("kmeans", clusters=7, layer=3), TeacherTarget("teacher", top_k=2, layer=3, weight=0.5)]


def make(targets, frontend="fbank"):
    torch.manual_seed(0)
    config, inputs = FRONTENDS[frontend]
    model = MT4SSL(ModelConfig(config, ENCODER), targets, EmaConfig(0.9, 0.99, 10))
    frames = config.frames(inputs.size(1))
    torch.manual_seed(1)
    labels = {"kmeans": torch.randint(7, (2, frames))}
    mask = torch.zeros(2, frames, dtype=torch.bool)
    mask[:, 3:9] = True
    return model, inputs, torch.tensor([inputs.size(1)] * 2), labels, mask


def frames_of(mask):
    """The numbers of the frames that a mask (B, T') has."""
    return mask.flatten().nonzero()[:, 0]


@pytest.mark.parametrize("frontend", ["fbank", "waveform"])
def test_losses_written_out(frontend):
    model, inputs, lengths, labels, mask = make(BOTH, frontend)
    losses = model(inputs, lengths, labels, frames_of(mask))

    features, _ = model.student.project(inputs, lengths)
    outputs, _ = model.student.encoder(torch.where(mask[..., None], model.mask_embedding, features))
    cross_entropy = F.cross_entropy(model.heads[0](outputs[2]).transpose(1, 2), labels["kmeans"], reduction="none")
    _, results = model.teacher.encoder(features)
    target = sum(F.instance_norm(r.transpose(1, 2)).transpose(1, 2) for r in results[1:]) / 2
    regression = (model.heads[1](outputs[2]) - target).square().sum(-1) / 32**0.5

    assert losses.frames == 12
    torch.testing.assert_close(losses.sums["0_kmeans"], (cross_entropy * mask).sum())
    torch.testing.assert_close(losses.sums["1_teacher"], (regression * mask).sum())
    torch.testing.assert_close(losses.loss, ((cross_entropy + 0.5 * regression) * mask).sum())


@pytest.mark.parametrize("frontend", ["fbank", "waveform"])
def test_equally_long_utterances_need_no_lengths(frontend):
    model, inputs, lengths, labels, mask = make(BOTH, frontend)
    gradients = []
    for given in (lengths, None):
        model.zero_grad()
        losses = model(inputs, given, labels, frames_of(mask))
        losses.loss.backward()
        gradients.append([losses.loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


def test_only_masked_frames_count():
    model, inputs, lengths, labels, mask = make(BOTH)
    before = model(inputs, lengths, labels, frames_of(mask)).loss
    labels["kmeans"][~mask] += 1
    labels["kmeans"] %= 7
    torch.testing.assert_close(model(inputs, lengths, labels, frames_of(mask)).loss, before)


def test_student_does_not_see_what_is_masked():
    model, inputs, lengths, labels, mask = make([BOTH[0]])
    mask[:] = True
    before = model(inputs, lengths, labels, frames_of(mask)).loss
    torch.testing.assert_close(model(torch.randn_like(inputs), lengths, labels, frames_of(mask)).loss, before)


def test_gradients_reach_the_student_and_not_the_teacher():
    model, inputs, lengths, labels, mask = make(BOTH)
    model(inputs, lengths, labels, frames_of(mask)).loss.backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    without = [n for n, p in model.named_parameters() if p.grad is None and not n.startswith("teacher")]
    assert without == []


def test_teacher_moves_by_ema_and_copies_positions():
    model, *_ = make(BOTH)
    old = copy.deepcopy(model.teacher.state_dict())
    with torch.no_grad():
        for p in model.student.parameters():
            p.add_(1.0)
    assert model.finish_update(5)["ema_decay"] == pytest.approx(0.945)
    student = model.student.encoder.state_dict()
    for full_name, weight in model.teacher.state_dict().items():
        name = full_name.removeprefix("encoder.")
        moved = student[name] if name.startswith("position") else old[f"encoder.{name}"] + 0.055
        torch.testing.assert_close(weight, moved, rtol=1e-5, atol=1e-6)


def test_teacher_is_always_in_eval_mode():
    model, *_ = make(BOTH)
    assert model.train().student.training and not model.teacher.encoder.training


def test_single_targets():
    offline, *batch, mask = make([BOTH[0]])
    assert offline.teacher is None
    assert set(offline(*batch, frames_of(mask)).sums) == {"0_kmeans", "0_kmeans_accuracy"}
    online, *batch, mask = make([BOTH[1]])
    names = {"0_teacher", "0_teacher_target_std", "0_teacher_prediction_std"}
    assert set(online(*batch, frames_of(mask)).sums) == names


def test_several_codebooks_on_several_layers():
    targets = [KMeansTarget("kmeans", clusters=7, layer=1), KMeansTarget("kmeans", clusters=7, layer=3)]
    model, *batch, mask = make(targets)
    losses = model(*batch, frames_of(mask))
    torch.testing.assert_close(losses.loss, losses.sums["0_kmeans"] + losses.sums["1_kmeans"])


def test_target_beyond_the_encoder():
    with pytest.raises(UserError, match="needs more layers than the encoder's 3"):
        make([KMeansTarget("kmeans", layer=4)])
