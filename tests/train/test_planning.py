"""What a dry run says of a training is what the training has."""

from dataclasses import replace

import pytest
import torch

from mt4ssl.train.finetuning import FinetuneTask
from mt4ssl.train.planning import plan_finetuning, plan_pretraining
from mt4ssl.train.pretraining import PretrainTask

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
