"""From labels of frames to text: tokens without repeats, or pieces of these, in place of speech."""

import sys
from dataclasses import replace
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch
from lhotse import CutSet

from mt4ssl.bin import emit, make_tokens
from mt4ssl.config import save_config
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import UserError
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.results import read_log
from mt4ssl.train.finetuning import FinetuneTask
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainTask

CPU = torch.device("cpu")
SOUNDS = {"A": [0, 1, 2], "B": [3, 1, 4], "C": [5, 3, 1]}  # what labels say of a word


@pytest.fixture(scope="module")
def labelled(corpus, tmp_path_factory):
    """The tones, each with three labels of about 0.1 s."""
    folder, rng = tmp_path_factory.mktemp("tones as labels"), np.random.default_rng(0)
    cuts, labels = list(CutSet.from_file(corpus.cuts)), []
    for cut in cuts:
        sounds = [SOUNDS[word] for word in cut.supervisions[0].text.split()]
        borders = rng.integers(8, 13, (len(sounds), 2))
        times = np.column_stack([borders, 30 - borders.sum(1)])
        labels.append((cut, np.repeat(np.concatenate(sounds), times.ravel()).astype(np.int16)))
    CutSet.from_cuts(store_arrays(folder / "sounds", "sounds", 0.01, labels)).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


@pytest.fixture
def tokens_of(labelled, tmp_path, monkeypatch):
    def call(*arguments):
        out = str(tmp_path / "tokens.jsonl.gz")
        options = ["--labelled", labelled, "--labels", "sounds", "--out", out, *arguments]
        monkeypatch.setattr(sys, "argv", ["make_tokens", *map(str, options)])
        make_tokens.main()
        return out

    return call


@pytest.fixture
def config(finetune_config, pretrain_config, tokens_of):
    """Fine-tuning from scratch of a model that reads tokens."""

    def make(tokens, classes, **changes):
        frontend = FrontendConfig("codes", 24, [], [], labels="tokens", label_rate=10, classes=classes)
        architecture = replace(pretrain_config.model, frontend=replace(frontend, **changes))
        save_config(replace(pretrain_config, model=architecture), Path(pretrain_config.exp_dir) / "config.yaml")
        return replace(finetune_config, train_cuts=tokens, dev_cuts=tokens)

    return make


def test_repeats_carry_no_text(config, tokens_of, monkeypatch):
    """Three tokens for each word, of which CTC wants two: from the tokens to a WER, as stages 8 and 9 do."""
    tokens = tokens_of()
    config = config(tokens, 6)
    config = replace(config, loop=replace(config.loop, updates=50, validate_every=25, log_every=25))
    task = FinetuneTask(config, CPU)
    train(task)
    assert task.rejected == 0
    assert read_log(Path(config.exp_dir), "dev")[-1]["wer"] < 10

    options = ["--model", config.exp_dir, "--avg", "1", "--cuts", tokens, "--split", "dev"]
    monkeypatch.setattr(sys, "argv", ["emit", *options])
    emit.main()
    log_probs = kaldiio.load_scp(f"{config.exp_dir}/log_probs/dev.scp")
    for cut in CutSet.from_file(tokens):
        assert len(log_probs[cut.id]) == len(cut.load_custom("tokens")) == 3 * len(cut.supervisions[0].text.split())


def test_pieces_too_short_for_their_text_are_rejected(config, tokens_of, tmp_path):
    tokens = tokens_of("--bpe", tmp_path / "bpe.model", "--bpe-size", "13")
    sizes = [cut.tokens.shape[0] for cut in CutSet.from_file(tokens)]
    texts = [2 * len(cut.supervisions[0].text.split()) for cut in CutSet.from_file(tokens)]
    short = sum(size < text for size, text in zip(sizes, texts))
    assert short > 0
    task_config = config(tokens, 13)
    more = replace(task_config, ctc=replace(task_config.ctc, slots=4))
    assert FinetuneTask(more, CPU).rejected == sum(4 * size < text for size, text in zip(sizes, texts))
    if short < len(sizes):
        assert FinetuneTask(task_config, CPU).rejected == short
    else:
        with pytest.raises(UserError, match="every transcript has more tokens than frames; raise ctc.slots"):
            FinetuneTask(task_config, CPU)


def test_a_model_of_labels_is_pre_trained_on_crops(labelled, pretrain_config, tokens_of):
    frontend = FrontendConfig("codes", 24, [], [], labels="sounds", label_rate=25, classes=6)
    teacher = [target for target in pretrain_config.targets if target.type == "teacher"]
    config = replace(
        pretrain_config, train_cuts=str(labelled), dev_cuts=str(labelled), targets=teacher,
        model=replace(pretrain_config.model, frontend=frontend), loop=replace(pretrain_config.loop, updates=2),
    )  # fmt: skip
    assert config.labels() == ["sounds"]
    train(PretrainTask(config, CPU))
    (*_, last) = read_log(Path(config.exp_dir), "train")
    assert last["step"] == 2 and last["loss"] > 0
    tokens = tokens_of()
    frontend = replace(frontend, labels="tokens")
    with pytest.raises(UserError, match="'tokens' of cut utt0 have no times, so that no crop has its own"):
        PretrainTask(
            replace(config, train_cuts=tokens, dev_cuts=tokens, model=replace(config.model, frontend=frontend)), CPU
        )
