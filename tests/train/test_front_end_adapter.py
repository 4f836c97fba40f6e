"""A model of waveforms that learns to read fbank, in small."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import MaskConfig
from mt4ssl.targets.frontend import FrontendTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import instance_norm
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainTask

CPU = torch.device("cpu")


def task_of(config, **changes):
    return PretrainTask(replace(config, **changes), CPU)


@pytest.fixture
def waveform_model(pretrain_config):
    """A training on K-means labels that reads waveforms, at the frame rate of the fbank front-end."""
    frontend = FrontendConfig("waveform", 24, [10, 4, 4, 4], [8, 5, 4, 4])
    model = replace(pretrain_config.model, frontend=frontend)
    loop = replace(pretrain_config.loop, updates=60, validate_every=60, save_every=60)
    task = task_of(pretrain_config, model=model, targets=[KMeansTarget("kmeans", layer=2, clusters=3)], loop=loop)
    train(task)
    return task


@pytest.fixture
def adapter(pretrain_config, waveform_model):
    """The config of a training that gives it an fbank front-end."""
    folder = waveform_model.config.exp_dir
    return replace(
        pretrain_config,
        exp_dir=str(Path(folder).parent / "adapter"),
        initial=folder,
        initial_frontend=False,
        mask=MaskConfig(0.0, 1),
        targets=[FrontendTarget("frontend", folder)],
        loop=waveform_model.config.loop,
    )


def correlation(task, waveform_model):
    """How like the last layer's outputs are to those of the model of waveforms: 1 if they are the same."""
    batch = task.dev_data.batch(0)
    with torch.no_grad():
        ours = instance_norm(task.model.eval().student(batch.inputs, None)[0][1], None)
        theirs = waveform_model.model.eval().student(batch.waveforms, None)[0][1]
        theirs = instance_norm(theirs, None)[:, : ours.size(1)]
    return torch.corrcoef(torch.stack([ours[:, : theirs.size(1)].flatten(), theirs.flatten()]))[0, 1].item()


def test_the_front_end_learns_and_the_layers_stay(waveform_model, adapter):
    task = task_of(adapter)
    before = correlation(task, waveform_model)
    task.model.train()
    train(task)
    after = correlation(task, waveform_model)
    assert before < 0.5 and after > 0.8, (before, after)
    theirs = waveform_model.model.student.encoder.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in task.model.student.encoder.state_dict().items())
    mask_embedding = waveform_model.model.mask_embedding
    assert torch.equal(task.model.mask_embedding, mask_embedding)


def test_a_front_end_of_another_kind_must_be_wanted(adapter):
    with pytest.raises(UserError, match=r"^model.frontend.type is fbank, but waveform in .*pretrain"):
        task_of(adapter, initial_frontend=True)


def test_without_a_model_to_start_from_there_is_no_front_end_to_leave_out(adapter):
    with pytest.raises(ValueError, match="initial_frontend is about a model to start from: set initial too"):
        replace(adapter, initial=None)
