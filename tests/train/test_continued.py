"""Pre-training that goes on from a model, which its own folder, an export or an import holds."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.inference.export import export_model
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.results import read_log
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import TeacherTarget
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainTask

CPU = torch.device("cpu")


@pytest.fixture
def trained(pretrain_config):
    """A training of six updates on K-means labels."""
    task = PretrainTask(replace(pretrain_config, targets=[KMeansTarget("kmeans", layer=2, clusters=3)]), CPU)
    train(task)
    return task


def continued(config, folder, **changes):
    config = replace(config, initial=str(folder), exp_dir=str(Path(config.exp_dir).parent / "continued"), **changes)
    return PretrainTask(config, CPU)


@pytest.mark.parametrize("exported", [False, True])
def test_the_first_loss_is_the_model_s_own(trained, tmp_path, exported):
    folder = Path(trained.config.exp_dir)
    if exported:
        export_model(folder, "mt4ssl", tmp_path / "export")
        folder = tmp_path / "export"
    task = continued(trained.config, folder)
    assert not torch.equal(task.model.heads[0].weight, trained.model.heads[0].weight)
    task.model.heads.load_state_dict(trained.model.heads.state_dict())
    batch = trained.train_data.batch(0)
    with torch.no_grad():
        first, own = (each.model.eval()(batch.inputs, None, batch.labels, batch.masked) for each in (task, trained))
    assert torch.equal(first.loss, own.loss) and own.loss > 0


def test_a_teacher_starts_as_the_model(trained):
    task = continued(trained.config, trained.config.exp_dir, targets=[TeacherTarget("teacher", top_k=2, layer=2)])
    teacher = task.model.teacher.encoder.state_dict()
    for name, weight in trained.model.student.encoder.state_dict().items():
        assert torch.equal(teacher[name], weight), name
    train(task)
    assert read_log(Path(task.config.exp_dir), "train")[-1]["step"] == 6


def test_another_architecture_is_refused(trained):
    model = trained.config.model
    changed = replace(model, encoder=replace(model.encoder, pos_conv_depth=2))
    with pytest.raises(
        UserError, match=r"^model.encoder.pos_conv_depth is 2, but 1 in .*: set `model` as .*config.yaml"
    ):
        continued(trained.config, trained.config.exp_dir, model=changed)


def test_another_dropout_is_not_another_architecture(trained):
    model = trained.config.model
    assert model.encoder.dropout == EncoderConfig.dropout
    continued(trained.config, trained.config.exp_dir, model=replace(model, encoder=replace(model.encoder, dropout=0.0)))


def test_a_missing_model_is_named(pretrain_config):
    with pytest.raises(UserError, match="nowhere/config.yaml is missing"):
        continued(pretrain_config, "nowhere")
