"""The teacher's schedule and its target."""

import pytest
import torch
import torch.nn.functional as F

from mt4ssl.targets.base import Clean
from mt4ssl.targets.teacher import EmaConfig, TeacherAnswers, teacher_target


def test_decay_is_linear_then_constant():
    ema = EmaConfig(0.999, 0.9999, 30000)
    assert ema.at(0) == pytest.approx(0.999)
    assert ema.at(15000) == pytest.approx(0.99945)
    assert ema.at(30000) == ema.at(10**6) == 0.9999


def test_target_without_padding():
    results = [torch.randn(2, 30, 8) for _ in range(4)]
    expected = sum(F.instance_norm(r.transpose(1, 2)).transpose(1, 2) for r in results[-3:]) / 3
    torch.testing.assert_close(teacher_target(results, 3, None), expected)


def test_padding_does_not_touch_the_statistics():
    result = torch.randn(1, 20, 8)
    padded = torch.cat([result, torch.full((1, 9, 8), 50.0)], dim=1)
    target = teacher_target([padded], 1, torch.arange(29)[None] >= 20)
    torch.testing.assert_close(target[:, :20], teacher_target([result], 1, None), rtol=1e-4, atol=1e-5)


def clean(results, lengths=None):
    return Clean(torch.zeros(()), lengths, {}, 0, None, [results], torch.zeros(0))


def test_spread_over_utterances_of_an_update():
    answers, batches = TeacherAnswers(top_k=1, dim=8), [torch.randn(size, 30, 8) for size in (4, 2, 1)]
    wanted = sum(
        size * answers(clean(batch)).numpy().std(0, ddof=1).mean() for size, batch in zip((4, 2), batches)
    ) / 6  # fmt: skip
    answers.finish_update()
    for batch in batches:  # of the last one, which has one utterance, there is none
        answers(clean(batch))
    answers(clean(batches[0], torch.tensor([30, 20, 10, 9])))
    answers.eval()(clean(batches[0]))
    assert answers.finish_update()["utterance_std"].item() == pytest.approx(wanted, rel=1e-4)
    answers.train()(clean(batches[2]))
    assert answers.finish_update()["utterance_std"].isnan()


def test_targets_of_the_position_alone_have_no_spread_over_utterances():
    answers, positions = TeacherAnswers(top_k=1, dim=8), torch.randn(30, 8).expand(4, 30, 8)
    assert answers(clean(positions)).std((0, 1)).mean() > 0.9
    assert answers.finish_update()["utterance_std"] == pytest.approx(0.001, rel=0.01)
