"""A corpus of a few seconds with features, labels and tokens, and configs small enough for tests."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, LilcomChunkyWriter, NumpyFilesWriter, Recording
from lhotse.supervision import SupervisionSegment

from mt4ssl.data.features import make_extractor
from mt4ssl.models.ctc import CtcConfig
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import MaskConfig
from mt4ssl.models.mt4ssl import KMeansTarget, ModelConfig, TeacherTarget
from mt4ssl.targets.offline import KMeansConfig, write_label_config
from mt4ssl.targets.online import EmaConfig
from mt4ssl.train.finetuning import FinetuneConfig
from mt4ssl.train.loop import LoopConfig
from mt4ssl.train.optim import OptimConfig
from mt4ssl.train.pretraining import PretrainConfig

WORDS = {"A": 440.0, "B": 880.0, "C": 1760.0}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """12 utterances in which each word is a tone of 0.3 s, with labels that tell the tone."""
    folder = tmp_path_factory.mktemp("tone corpus")
    rng = np.random.default_rng(0)
    cuts = []
    with LilcomChunkyWriter(folder / "feats.lca") as features:
        labels = NumpyFilesWriter(folder / "labels")
        for number in range(12):
            words = rng.choice(list(WORDS), 3 + number % 3)
            time = np.arange(4800) / 16000
            samples = np.concatenate([np.sin(2 * np.pi * WORDS[word] * time) for word in words]) * 0.3
            path = folder / f"{number}.wav"
            soundfile.write(path, samples + rng.normal(size=len(samples)) * 0.01, 16000)
            cut = Recording.from_file(path).to_cut().with_id(f"utt{number}")
            text = " ".join(words)
            cut.supervisions = [SupervisionSegment(f"utt{number}", cut.recording_id, 0, cut.duration, text=text)]
            cut = cut.compute_and_store_features(make_extractor("fbank"), features)
            tones = np.repeat([list(WORDS).index(word) for word in words], 30).astype(np.int16)
            cut.kmeans = labels.store_array(cut.id, tones, frame_shift=0.01, temporal_dim=0, start=0)
            cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    write_label_config(KMeansConfig(clusters=3), folder)
    (folder / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nB 3\nC 4\n", encoding="utf-8")
    return SimpleNamespace(folder=folder, cuts=str(folder / "cuts.jsonl.gz"))


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
