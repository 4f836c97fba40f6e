"""What a front-end is to give, against the projected features of the model of waveforms itself."""

from dataclasses import replace

import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.inference.folder import save_encoder
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.targets.frontend import FrontendTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig

ENCODER = EncoderConfig(
    layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4, dropout=0.0,
    attention_dropout=0.0, layerdrop=0.0,
)  # fmt: skip
STUDENT = ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 2]), ENCODER)
WAVEFORM = FrontendConfig("waveform", 24, [10, 6, 6, 6], [8, 5, 4, 4])  # 25 frames a second, as the student's
FBANK = torch.randn(2, 80, 80, generator=torch.Generator().manual_seed(1))  # 20 frames of the model
SPEECH = torch.randn(2, 12800, generator=torch.Generator().manual_seed(2))
MASKED, NONE = torch.tensor([2, 3, 4, 22, 23, 24]), torch.tensor([], dtype=torch.long)


def saved(folder, frontend=WAVEFORM, **changes):
    """A random encoder that is saved in a folder, and the target that names it."""
    architecture = ModelConfig(frontend, replace(ENCODER, **changes))
    torch.manual_seed(7)
    encoder = SpeechEncoder(architecture).eval()
    save_encoder(folder, encoder, torch.zeros(architecture.encoder.dim), architecture)
    return encoder, FrontendTarget("frontend", str(folder))


def student(*targets):
    torch.manual_seed(0)
    return MT4SSL(STUDENT, targets, EmaConfig()).eval()


def errors(encoder, model):
    """Squared errors of each frame (B, T'), the last one of fbank against the last one of the waveforms."""
    theirs = encoder.project(SPEECH, None)[0]
    assert theirs.size(1) == 19
    ours = model.student.project(FBANK, None)[0]
    return (ours - torch.cat([theirs, theirs[:, -1:]], 1)).square().sum(2) / 32**0.5


@pytest.mark.parametrize("masked", [NONE, MASKED])
def test_loss_written_out(tmp_path, masked):
    encoder, target = saved(tmp_path)
    model = student(target)
    losses = model(FBANK, None, {}, masked, SPEECH)
    mean = errors(encoder, model).mean()
    torch.testing.assert_close(losses.loss / losses.frames, mean, rtol=1e-4, atol=1e-4)
    losses.loss.backward()
    assert all(weight.grad is None for weight in model.student.encoder.parameters())
    assert all(weight.grad is not None for weight in model.student.frontend.parameters())
    assert all(weight.grad is None for weight in model.answers.parameters())


def test_other_targets_may_stand_beside_it(tmp_path):
    encoder, target = saved(tmp_path)
    kmeans = KMeansTarget("kmeans", clusters=5, layer=2)
    labels = {"kmeans": torch.zeros(2, 20, dtype=torch.long)}
    model = student(kmeans, replace(target, weight=0.5))
    both = model(FBANK, None, labels, MASKED, SPEECH)
    alone = student(kmeans)
    alone.load_state_dict({name: w for name, w in model.state_dict().items() if not name.startswith("answers.1.")})
    first = alone(FBANK, None, labels, MASKED)
    expected = first.loss + 0.5 * len(MASKED) * errors(encoder, model).mean()
    torch.testing.assert_close(both.loss, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(frontend=STUDENT.frontend), "reads fbank, the student fbank: it must be waveform, and fbank"),
        (dict(frontend=FrontendConfig()), r"has frames every 0.02 s, the student frames every 0.04 s: they must be"),
        (dict(dim=48), "has 48 channels, the student 32 channels: they must be the same"),
    ],
)
def test_models_that_do_not_fit_are_refused(tmp_path, changes, message):
    _, target = saved(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        student(target)


def test_it_is_about_no_layer(tmp_path):
    _, target = saved(tmp_path)
    with pytest.raises(UserError, match="front-ends are compared at layer 0, before the layers: leave layer out"):
        student(replace(target, layer=2))
