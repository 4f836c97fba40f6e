"""Compiled models: torch's tracing is the real one, and the operations that it finds are run as they are."""

from functools import partialmethod

import pytest
import torch
from torch import nn

from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig, compile_layers
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget

FRONTENDS = {
    "waveform": (FrontendConfig("waveform", 24), ()),
    "fbank": (FrontendConfig("fbank", 24, [3, 3], [2, 1]), (80,)),
}
ENCODER = EncoderConfig(
    layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=15, pos_conv_depth=3, pos_conv_groups=4,
    dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
)  # fmt: skip
TARGETS = [KMeansTarget("kmeans", clusters=7, layer=2), TeacherTarget("teacher", top_k=2, layer=2)]


def losses(model, config, shape, lengths=None):
    torch.manual_seed(1)
    frames = config.frames(shape[1])
    labels = {"kmeans": torch.randint(7, (shape[0], frames))}
    return model(torch.randn(shape), lengths, labels, torch.arange(0, shape[0] * frames, 3)).loss


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_all_that_a_training_meets_is_compiled_and_the_same(monkeypatch, frontend):
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    config, rest = FRONTENDS[frontend]
    torch.manual_seed(0)
    model = MT4SSL(ModelConfig(config, ENCODER), TARGETS, EmaConfig())

    def run():
        found = []
        for rows, size, padded in ((3, 6640, False), (1, 7040, True), (4, 8000, False), (4, 7040, True)):
            shape = (rows, size) if frontend == "waveform" else (rows, size // 80, *rest)
            lengths = torch.tensor([shape[1] - 20] * rows) if padded else None
            model.train()
            loss = losses(model, config, shape, lengths)
            loss.backward()
            with torch.no_grad():
                model.eval()
                found += [loss.detach(), losses(model, config, shape, lengths)]
        return torch.stack(found)

    expected = run()
    compile_layers(model)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        compiled = run()
    torch.testing.assert_close(compiled, expected)
