"""A corpus of a few seconds with features, labels and tokens, and configs small enough for tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet, NumpyFilesWriter, load_manifest
from tones import tone_corpus

from mt4ssl.checkpoint import save_checkpoint
from mt4ssl.config import save_config
from mt4ssl.models.ctc import CtcConfig
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import MaskConfig
from mt4ssl.models.speech import ModelConfig
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget
from mt4ssl.train.finetuning import FinetuneConfig, FinetuneTask
from mt4ssl.train.optim import OptimConfig
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask
from mt4ssl.train.task import LoopConfig


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return tone_corpus(tmp_path_factory.mktemp("tone corpus"))


@pytest.fixture(scope="session")
def loud(corpus):
    """Manifest of the corpus, twice over; the features of its cut "loud" are finite, and their sum over time is not."""
    cuts = [cut.with_id(f"{cut.id}-{time}") for cut in load_manifest(corpus.cuts) for time in (0, 1)]
    with NumpyFilesWriter(corpus.folder / "loud") as writer:
        key = writer.write("loud", np.full((cuts[4].num_frames, 80), 1e38, np.float32))
    place = dict(storage_type=writer.name, storage_path=str(writer.storage_path), storage_key=key)
    cuts[4] = cuts[4].with_id("loud")
    cuts[4].features = replace(cuts[4].features, **place)
    CutSet.from_cuts(cuts).to_file(corpus.folder / "loud.jsonl.gz")
    return str(corpus.folder / "loud.jsonl.gz")


@pytest.fixture
def loop():
    return LoopConfig(
        updates=6, batch_seconds=4, max_batch_seconds=4, dtype="fp32", log_every=2, validate_every=3, save_every=3,
        keep=2, workers=0,
    )  # fmt: skip


@pytest.fixture
def pretrain_config(corpus, loop, tmp_path):
    return PretrainConfig(
        corpus.cuts, corpus.cuts, str(tmp_path / "pretrain"),
        model=ModelConfig(
            FrontendConfig("fbank", 24, [3, 3], [2, 2]),
            EncoderConfig(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4),
        ),
        targets=[KMeansTarget("kmeans", layer=2, clusters=3), TeacherTarget("teacher", top_k=2, layer=2)],
        mask=MaskConfig(0.65, 3), ema=EmaConfig(0.9, 0.99, 4), optim=OptimConfig(lr=2e-3, warmup=0.1), loop=loop,
        min_seconds=0.5,
    )  # fmt: skip


@pytest.fixture
def finetune_config(corpus, loop, pretrain_config, tmp_path):
    return FinetuneConfig(
        corpus.cuts, corpus.cuts, str(tmp_path / "finetune"), str(corpus.folder), pretrain_config.exp_dir,
        from_scratch=True, ctc=CtcConfig(slots=1, time_mask_prob=0.1, time_mask_length=1, channel_mask_prob=0.1,
        channel_mask_length=4), dropout=0.0, activation_dropout=0.0, layerdrop=0.0,
        optim=OptimConfig(lr=3e-3, warmup=0.1, hold=0.5, clip_norm=1.0), loop=loop,
    )  # fmt: skip


@pytest.fixture
def pretrained(pretrain_config):
    """The folder of a pre-training of no updates, with another seed than fine-tuning's."""
    pretrain_config = replace(pretrain_config, loop=replace(pretrain_config.loop, seed=9))
    folder = Path(pretrain_config.exp_dir)
    folder.mkdir()
    save_config(pretrain_config, folder / "config.yaml")
    save_checkpoint(
        folder / "final.pt", {"model": PretrainTask(pretrain_config, torch.device("cpu")).model.state_dict()}
    )
    return folder


@pytest.fixture
def kill_in_update(monkeypatch):
    """A function that calls another, which trains, and interrupts it in some update."""

    class Killed(Exception):
        pass

    def call(update, training):
        with monkeypatch.context() as patch:
            for task in (PretrainTask, FinetuneTask):
                patch.setattr(task, "finish_update", killer(task.finish_update, update))
            with pytest.raises(Killed):
                training()

    def killer(original, update):
        def finish_update(self, step):
            if step == update:
                raise Killed
            return original(self, step)

        return finish_update

    return call
