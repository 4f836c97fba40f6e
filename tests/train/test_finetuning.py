"""Fine-tuning learns, starts from the student, freezes what it should, and averages checkpoints."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch
from lhotse import CutSet, load_manifest

from mt4ssl.checkpoint import average_checkpoints, load_checkpoint, step_checkpoints
from mt4ssl.config import load_config, save_config
from mt4ssl.data.augmentation import AugmentConfig
from mt4ssl.data.ctc import alignable
from mt4ssl.errors import UserError
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.pretrained import load_student, student_weights
from mt4ssl.results import read_log
from mt4ssl.train.finetuning import FinetuneConfig, FinetuneTask, load_ctc
from mt4ssl.train.loop import train
from mt4ssl.train.optim import OptimConfig

CPU = torch.device("cpu")


def run(config):
    task = FinetuneTask(config, CPU)
    train(task)
    return task


def test_learns_to_transcribe_tones(finetune_config, pretrained):
    config = replace(finetune_config, loop=replace(finetune_config.loop, updates=150, validate_every=50, log_every=50))
    run(config)
    log = read_log(Path(config.exp_dir), "dev")
    assert log[-1]["wer"] < 10 < log[0]["loss"] * 100


def test_starts_from_the_student_with_its_front_end_frozen(finetune_config, pretrained):
    task = FinetuneTask(replace(finetune_config, from_scratch=False), CPU)
    student = load_student(pretrained)[0].state_dict()
    for name, weight in task.model.encoder.state_dict().items():
        assert torch.equal(weight, student[name])
    assert not any(p.requires_grad for p in task.model.encoder.frontend.parameters())
    scratch = FinetuneTask(finetune_config, CPU)
    assert not torch.equal(scratch.model.encoder.projection.weight, task.model.encoder.projection.weight)
    assert all(p.requires_grad for p in scratch.model.encoder.frontend.parameters())


def test_top_layers_start_at_random_again(finetune_config, pretrained):
    task = FinetuneTask(replace(finetune_config, from_scratch=False, reinit_layers=1), CPU)
    student, weights = load_student(pretrained)[0].state_dict(), task.model.encoder.state_dict()
    top = f"encoder.layers.{len(task.model.encoder.encoder.layers) - 1}."
    assert not torch.equal(weights[top + "fc1.weight"], student[top + "fc1.weight"])
    assert all(torch.equal(weight, student[name]) for name, weight in weights.items() if not name.startswith(top))
    with pytest.raises(UserError, match="reinit_layers is 9"):
        FinetuneTask(replace(finetune_config, from_scratch=False, reinit_layers=9), CPU)


def test_killed_and_resumed_is_as_uninterrupted(finetune_config, pretrained, tmp_path, kill_in_update):
    """With masks, whose embedding was once left out of the optimiser: its stale gradient changed what was clipped."""
    config = replace(
        finetune_config, from_scratch=False, ctc=replace(finetune_config.ctc, time_mask_prob=0.5),
        augment=AugmentConfig([0.9, 1.0, 1.1], time_warp_factor=20, num_feature_masks=2, num_frame_masks=2),
    )  # fmt: skip
    whole = run(config).model.state_dict()
    config = replace(config, exp_dir=str(tmp_path / "interrupted"))
    kill_in_update(5, lambda: run(config))
    resumed = run(config).model.state_dict()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    assert not torch.equal(whole["mask_embedding"], student_weights(pretrained)[1])


@pytest.mark.parametrize("freeze_frontend", [True, False])
def test_frozen_updates_move_the_head_only(finetune_config, pretrained, freeze_frontend):
    config = replace(
        finetune_config, from_scratch=False, freeze_updates=6, optim=OptimConfig(lr=1e-2, weight_decay=0.0),
        freeze_frontend=freeze_frontend,
    )  # fmt: skip
    task = run(config)
    student = load_student(pretrained)[0].state_dict()
    assert all(torch.equal(weight, student[name]) for name, weight in task.model.encoder.state_dict().items())
    task.start_batch(6, 0)
    assert task.model.encoder.encoder.layers[0].fc1.weight.requires_grad
    assert all(p.requires_grad != freeze_frontend for p in task.model.encoder.frontend.parameters())


def test_head_has_its_own_rate(finetune_config, pretrained):
    task = FinetuneTask(replace(finetune_config, head_lr_factor=5.0, optim=OptimConfig(lr=1e-3)), CPU)
    assert [group["lr"] for group in task.optimizer.param_groups] == [1e-3, 5e-3]


def test_averaging(finetune_config, pretrained):
    run(finetune_config)
    paths = step_checkpoints(Path(finetune_config.exp_dir))
    first, second = (load_checkpoint(path)["model"]["head.weight"].numpy() for path in paths)
    np.testing.assert_allclose(average_checkpoints(paths)["head.weight"], (first + second) / 2, rtol=1e-5, atol=1e-7)


def test_opens_without_its_pre_training_and_lang_dir(finetune_config, pretrained, tmp_path, monkeypatch):
    task = run(finetune_config)
    folder = Path(finetune_config.exp_dir)
    shutil.rmtree(pretrained)
    monkeypatch.chdir(folder.parent)
    model, _, architecture = load_ctc(Path(folder.name), folder / "final.pt")
    assert architecture == task.architecture
    assert len(Tokens(folder)) == model.head.out_features
    for name, weight in task.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)


@pytest.mark.parametrize(
    "tokens, frames, fits", [([1, 2], 2, True), ([1, 1], 2, False), ([1, 1], 3, True), ([], 0, True)]
)
def test_what_ctc_can_align(tokens, frames, fits):
    assert alignable(tokens, frames) == fits


@pytest.fixture
def other_dev(finetune_config, corpus, tmp_path):
    """Dev has two words more in one utterance: one without a token at all, one with a character that has none."""
    cuts = list(load_manifest(corpus.cuts))
    cuts[0].supervisions[0].text += " Ω AÉ"
    path = tmp_path / "dev.jsonl.gz"
    CutSet.from_cuts(cuts).to_file(path)
    return replace(finetune_config, dev_cuts=str(path))


def test_characters_that_only_dev_has_are_errors(finetune_config, other_dev, corpus, pretrained):
    task, unknown_to = FinetuneTask(finetune_config, CPU), FinetuneTask(other_dev, CPU)
    assert task.unknown_in_dev() == {} and unknown_to.unknown_in_dev() == {"utt0": ["Ω", "É"]}
    cut = next(cut for cut in unknown_to.dev_data.cuts if cut.id == "utt0")
    batch = unknown_to.dev_data.collate(np.array([list(unknown_to.dev_data.cuts).index(cut)]))
    reference = cut.supervisions[0].text
    assert batch.texts == [reference]
    assert unknown_to.tokens.decode(batch.tokens[0].tolist()) == reference.replace("Ω AÉ", "A")

    # An emission of all that the tokens can say: Ω is missing, A stands for AÉ.
    frames = [frame for token in batch.tokens[0].tolist() for frame in (token, 0)]
    log_probs = torch.full((1, len(frames), len(unknown_to.tokens)), -9.0)
    log_probs[0, range(len(frames)), frames] = 0.0
    said = unknown_to.tokens.decode(batch.tokens[0].tolist())
    rates = {
        name: errors / size
        for name, (errors, size) in unknown_to.errors(log_probs, torch.tensor([len(frames)]), batch).items()
    }
    assert rates["wer"] == pytest.approx(100 * jiwer.wer(reference, said)) and rates["wer"] > 0
    assert rates["cer"] == pytest.approx(100 * jiwer.cer(reference, said))

    unknown_to.model.eval()
    with torch.no_grad():
        assert np.isfinite(unknown_to.validate()["loss"])
    with pytest.raises(UserError, match="utterance utt0: É Ω not in"):
        FinetuneTask(replace(finetune_config, train_cuts=other_dev.dev_cuts), CPU)


def test_characters_as_words_have_one_error_rate_and_speeds_are_an_option(other_dev, pretrained, tmp_path):
    (tmp_path / "lang").mkdir()
    (tmp_path / "lang/tokens.txt").write_text("<blk> 0\nA 1\nB 2\nC 3\n", encoding="utf-8")
    save_config(replace(other_dev, lang=str(tmp_path / "lang")), tmp_path / "finetune.yaml")
    command = [
        sys.executable, "-m", "mt4ssl.bin.finetune", "--config", str(tmp_path / "finetune.yaml"),
        "--augment.speeds", "[0.9,1.0,1.1]", "--max-seconds", "1.3",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_config(FinetuneConfig, Path(other_dev.exp_dir) / "config.yaml").augment.speeds == [0.9, 1.0, 1.1]
    assert "rejected (longer than max_seconds)" in done.stdout
    assert re.search(r"\n  train +8 +0 +4 +0\.14\n  dev +8 +0 +4 ", done.stdout), done.stdout
    assert "warning: 1 utterances of dev have characters that no token spells, utt0 for example Ω AÉ" in done.stdout
    assert "CER %" in done.stdout and "WER" not in done.stdout
    assert {"loss", "cer"} <= read_log(Path(other_dev.exp_dir), "dev")[-1].keys() and "wer" not in done.stdout


def test_unalignable_utterances_are_counted(finetune_config, pretrained):
    config = replace(finetune_config, ctc=replace(finetune_config.ctc, slots=1))
    task = FinetuneTask(config, CPU)
    assert task.rejected == task.dev_rejected == 0


def test_utterances_longer_than_max_seconds_are_left_out_and_counted(finetune_config, pretrained, corpus):
    """Utterances of 0.9, 1.2 and 1.5 s."""
    task = FinetuneTask(finetune_config, CPU)
    assert task.too_long == task.dev_too_long == 0 and len(task.train_data.cuts) == 12
    task = FinetuneTask(replace(finetune_config, max_seconds=1.2), CPU)
    kept = [cut.id for cut in load_manifest(corpus.cuts) if cut.duration <= 1.2]
    for data, too_long in ((task.train_data, task.too_long), (task.dev_data, task.dev_too_long)):
        assert [cut.id for cut in data.cuts] == kept and too_long == 12 - len(kept) == 4
    with pytest.raises(UserError, match="every utterance is longer than max_seconds, which is 0.5"):
        FinetuneTask(replace(finetune_config, max_seconds=0.5), CPU)
