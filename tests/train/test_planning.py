"""What a dry run says of a training is what the training has."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mt4ssl.bin import plan as plan_verb
from mt4ssl.config import save_config
from mt4ssl.models.ctc import CtcModel
from mt4ssl.train.finetuning import FinetuneTask, freeze_encoder
from mt4ssl.train.planning import advise_on_updates, corpus_hours, plan_finetuning, plan_pretraining
from mt4ssl.train.pretraining import PretrainTask, make_model
from mt4ssl.train.projection import GPUS, SHARE, Gpu, shapes_alone
from mt4ssl.train.speed import count_flops
from mt4ssl.train.task import LoopConfig

CPU = torch.device("cpu")


def counts(model: torch.nn.Module) -> tuple[int, int]:
    """Parameters that are trained, and that are not."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trained, sum(p.numel() for p in model.parameters()) - trained


def test_pretraining(pretrain_config):
    plan = plan_pretraining(pretrain_config, 1, CPU)
    assert (plan.parameters, plan.fixed) == counts(PretrainTask(pretrain_config, CPU).model)
    assert plan.micro_batches == 1 and plan.micro_batch_seconds == 4
    assert plan.memory > 16 * plan.parameters and plan.hours > 0


@pytest.mark.parametrize("from_scratch, freeze_frontend", [(True, True), (False, True), (False, False)])
def test_fine_tuning(finetune_config, pretrain_config, pretrained, from_scratch, freeze_frontend):
    config = replace(finetune_config, from_scratch=from_scratch, freeze_frontend=freeze_frontend)
    plan = plan_finetuning(config, pretrain_config.model, 5, 1, CPU)
    assert (plan.parameters, plan.fixed) == counts(FinetuneTask(config, CPU).model)


@pytest.mark.parametrize(
    "updates, most, advice",
    [
        (400_000, 200, "is 439.81 epochs of 960.00 hours, more than 200: loop.updates 180000 would be about 200"),
        (400_000, float("inf"), None),
        (10_000, 200, None),
        (500, 200, "is 0.55 epochs of 960.00 hours, less than 1: loop.updates 9100 would be about 10"),
    ],
)
def test_few_and_many_epochs_are_told(updates, most, advice):
    """Updates of 3800 s, as in the paper; 181,895 of them are 200 times its 960 hours, and 9,095 ten times."""
    told = advise_on_updates(LoopConfig(updates=updates, batch_seconds=3800), 960.0, most)
    assert told == (advice and f"warning: loop.updates {updates} {advice}")


def test_hours_of_cuts_that_are_there(corpus, tmp_path):
    assert corpus_hours(Path(corpus.cuts)) == pytest.approx(4 * (0.9 + 1.2 + 1.5) / 3600)
    assert corpus_hours(tmp_path / "none.jsonl.gz") is None


def test_a_dry_run_tells_epochs(pretrain_config, corpus, tmp_path, monkeypatch, capsys):
    """Cuts with labels do not exist before stage 4, supervisions after stage 1."""
    save_config(replace(pretrain_config, train_cuts="none.jsonl.gz"), tmp_path / "config.yaml")
    verb = ["plan", "pretrain"]
    for options, unknown in (([], 2), (["--corpus", corpus.cuts], 0)):
        monkeypatch.setattr("sys.argv", [*verb, *options, "--", f"--config={tmp_path / 'config.yaml'}"])
        plan_verb.main()
        output = capsys.readouterr().out
        assert output.count("unknown before stage 1") == unknown and "warning" not in output
    assert re.search(r"epochs +1.67\n", output)  # 6 updates of 4 s, 14.4 s in all


GPU = Gpu("a GPU of round numbers", flops=1e12, bandwidth=1e10)


@pytest.mark.parametrize(
    "rows, inner, seconds",
    [
        (2000, 2000, 2 * 2000**3 / 1e12),  # of arithmetic, longer than the 24 MB take
        (2000, 2, 2 * (2000 * 2 * 2 + 2000 * 2000) / 1e10),  # of bytes in bf16: both factors and the product
    ],
)
def test_an_operation_takes_its_arithmetic_or_its_bytes(rows, inner, seconds):
    with shapes_alone():
        a, b = torch.empty(rows, inner, dtype=torch.bfloat16), torch.empty(inner, rows, dtype=torch.bfloat16)
        assert GPU.seconds(lambda: a @ b) == pytest.approx(seconds / SHARE)  # of two that learn nothing
        b.requires_grad_(True)
        assert GPU.seconds(lambda: a @ b) == pytest.approx(3 * seconds / SHARE)  # and twice that to go backwards
        with torch.no_grad():
            assert GPU.seconds(lambda: a @ b) == pytest.approx(seconds / SHARE)


def test_views_take_no_time():
    with shapes_alone():
        x = torch.empty(8, 8)
        assert GPU.seconds(lambda: x.view(64)[None].transpose(0, 1)) == 0.0


def test_a_gpu_that_is_not_here_trains_the_same_model(pretrain_config, finetune_config):
    here, cuda = plan_pretraining(pretrain_config, 1, CPU), torch.device("cuda")
    with shapes_alone():
        h100, a100 = (plan_pretraining(pretrain_config, 1, cuda, GPUS[name]) for name in ("h100", "a100"))
        tuned = plan_finetuning(finetune_config, pretrain_config.model, 5, 1, cuda, GPUS["h100"])
    assert (h100.parameters, h100.fixed, h100.micro_batches) == (here.parameters, here.fixed, here.micro_batches)
    assert 0 < h100.hours < a100.hours and tuned.hours > 0
    assert h100.memory > 16 * h100.parameters


def test_the_flops_of_a_projected_step_are_those_of_a_real_one(pretrain_config):
    """Where nothing is slow but arithmetic, the time says the FLOPs, which torch counts in the same step here."""
    config = pretrain_config.model
    frames = config.frontend.frames(400)
    model = make_model(pretrain_config)
    model.student.encoder.training = False  # no layer is left out
    labels = {"kmeans": torch.zeros(1, frames, dtype=torch.long)}
    masked = torch.arange(frames)[::2]

    def step() -> None:
        model(torch.randn(1, 400, 80), None, labels, masked).loss.backward()

    _, flops = count_flops(step)
    with shapes_alone():
        gpu = Gpu("of endless bandwidth", flops=1e12, bandwidth=float("inf"))
        plan = plan_pretraining(pretrain_config, 1, torch.device("cuda"), gpu)
    assert plan.measured_seconds == 4.0
    assert plan.measured_seconds / plan.speed * SHARE * gpu.flops == pytest.approx(flops, rel=0.1)


@pytest.mark.parametrize("freeze_frontend", [True, False])
def test_a_frozen_front_end_has_no_backward_pass(finetune_config, pretrain_config, freeze_frontend):
    """As above, of a fine-tuning: by default a pre-trained front-end is frozen."""
    config = replace(finetune_config, from_scratch=False, freeze_frontend=freeze_frontend)
    architecture = pretrain_config.model
    model = CtcModel(architecture, config.ctc, 5)
    model.encoder.training = False  # no layer is left out
    freeze_encoder(model, config, False)
    gpu = Gpu("of endless bandwidth", flops=1e12, bandwidth=float("inf"))
    _, flops = count_flops(lambda: model.head(model.encoder(torch.randn(1, 400, 80), None)[0][-1]).sum().backward())
    with shapes_alone():
        plan = plan_finetuning(config, architecture, 5, 1, torch.device("cuda"), gpu)
    assert plan.measured_seconds == 4.0
    assert plan.measured_seconds / plan.speed * SHARE * gpu.flops == pytest.approx(flops, rel=0.1)
