"""Pre-training runs, resumes exactly, accumulates exactly, and refuses to go on when it has failed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lhotse import CutSet

from mt4ssl.bin import pretrain
from mt4ssl.bin.pretrain import hours
from mt4ssl.checkpoint import load_checkpoint, step_checkpoints
from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import write_label_config
from mt4ssl.config import load_config, save_config
from mt4ssl.data.mixing import MixingConfig
from mt4ssl.errors import UserError
from mt4ssl.models.decoder import DecoderConfig
from mt4ssl.models.masking import MaskConfig
from mt4ssl.results import read_log
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.model import ModelTarget
from mt4ssl.targets.random_projection import RandomProjectionTarget
from mt4ssl.targets.teacher import Teacher
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import GuardConfig, PretrainConfig, PretrainTask, with_clusters
from mt4ssl.train.speed import DTYPES, choose_dtype

CPU = torch.device("cpu")


def run(config):
    task = PretrainTask(config, CPU)
    train(task)
    return load_checkpoint(Path(config.exp_dir) / "final.pt")


def test_learns_and_logs(pretrain_config):
    config = replace(
        pretrain_config, loop=replace(pretrain_config.loop, updates=60, log_every=10, validate_every=30),
        guard=GuardConfig(after=1),
    )  # fmt: skip
    run(config)
    log = read_log(Path(config.exp_dir), "train")
    assert [values["step"] for values in log] == list(range(10, 61, 10))
    assert log[-1]["0_kmeans"] < 0.7 * log[0]["0_kmeans"]
    wanted = {"loss", "0_kmeans", "0_kmeans_accuracy", "1_teacher", "1_teacher_target_std", "1_teacher_prediction_std"}
    assert wanted | {"ema_decay", "grad_norm", "lr", "audio_s_per_s", "data_wait"} <= set(log[-1])
    assert wanted <= set(read_log(Path(config.exp_dir), "dev")[-1])
    assert log[-1]["ema_decay"] == 0.99
    assert all(values["1_teacher_utterance_std"] > 0.15 for values in log)  # 0.1 would be a collapse


SYSTEMS = {
    "visible student": dict(decoder=DecoderConfig(dim=32, groups=4), mask=MaskConfig(0.5, 3, "block", copies=4)),
    "BEST-RQ": dict(targets=[RandomProjectionTarget("random_projection", clusters=32, layer=2)]),
    "DinoSR": dict(targets=[CodebookTarget("codebook", clusters=16, layer=2, teacher_layer=1)]),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_other_systems_learn(pretrain_config, name):
    config = replace(pretrain_config, loop=replace(pretrain_config.loop, updates=100, log_every=10), **SYSTEMS[name])
    run(config)
    log = read_log(Path(config.exp_dir), "train")
    assert log[-1]["loss"] < 0.85 * log[0]["loss"]


def test_speed_leaves_validation_out_and_nothing_else(pretrain_config, monkeypatch):
    """Validation in the middle of a window of the log once doubled the speed logged at its end."""
    now = 0.0

    def lasting(method, seconds):
        def call(*args):
            nonlocal now
            now += seconds
            return method(*args)

        return call

    monkeypatch.setattr("mt4ssl.train.speed.time.perf_counter", lambda: now)
    monkeypatch.setattr(PretrainTask, "validate", lasting(PretrainTask.validate, 100.0))
    monkeypatch.setattr(PretrainTask, "finish_update", lasting(PretrainTask.finish_update, 1.0))
    monkeypatch.setattr("mt4ssl.train.speed.matrix_peak", lambda *_: 1.0)
    run(pretrain_config)  # six updates of about 4 s, validated after the third and the last, logged after every second
    speeds = [values["audio_s_per_s"] for values in read_log(Path(pretrain_config.exp_dir), "train")]
    assert speeds == pytest.approx([4.0] * 3, rel=0.3)


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_auto_is_the_dtype_of_the_faster_matrix_products(faster, monkeypatch):
    monkeypatch.setattr("mt4ssl.train.speed.matrix_peak", lambda dtype, _: 2e9 if dtype == faster else 1e9)
    assert DTYPES[choose_dtype("auto", CPU)[0]] == faster
    assert choose_dtype("fp32", CPU)[0] == "fp32" and choose_dtype("bf16", CPU)[0] == "bf16"


@pytest.mark.parametrize("conv_kernel", [0, 7], ids=["transformer", "conformer"])
def test_killed_and_resumed_is_as_uninterrupted(conv_kernel, pretrain_config, tmp_path, kill_in_update):
    pretrain_config.model.encoder.conv_kernel = conv_kernel
    pretrain_config.targets.append(CodebookTarget("codebook", clusters=4, layer=2, teacher_layer=2))
    whole = run(pretrain_config)["model"]
    config = replace(pretrain_config, exp_dir=str(tmp_path / "interrupted"))
    kill_in_update(5, lambda: run(config))
    resumed = run(config)["model"]
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    assert [v["step"] for v in read_log(Path(config.exp_dir), "train")] == [2, 4, 6]


def test_a_training_goes_on_in_the_dtype_it_started_with(pretrain_config, monkeypatch, kill_in_update, capsys):
    config = replace(pretrain_config, loop=replace(pretrain_config.loop, dtype="auto"))
    for faster in (torch.bfloat16, torch.float32):
        monkeypatch.setattr("mt4ssl.train.speed.matrix_peak", lambda dtype, _: 1e9 + (dtype == faster))  # noqa: B023
        if faster == torch.bfloat16:
            kill_in_update(5, lambda: run(config))
        else:
            run(config)
    assert capsys.readouterr().out.count("matrix products in bf16") == 2


def test_workers_change_nothing(pretrain_config, tmp_path):
    one = run(pretrain_config)["model"]
    config = replace(pretrain_config, exp_dir=str(tmp_path / "b"), loop=replace(pretrain_config.loop, workers=2))
    other = run(config)["model"]
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_training_is_mixed_and_validation_is_not(pretrain_config):
    plain, mixed = (PretrainTask(replace(pretrain_config, mixing=MixingConfig(prob)), CPU) for prob in (0.0, 1.0))
    assert not torch.equal(mixed.train_data.batch(0).inputs, plain.train_data.batch(0).inputs)
    assert torch.equal(mixed.dev_data.batch(0).inputs, plain.dev_data.batch(0).inputs)


def test_gradients_of_micro_batches_add_up(pretrain_config):
    config = replace(pretrain_config, loop=replace(pretrain_config.loop, batch_seconds=8, max_batch_seconds=4))
    task = PretrainTask(config, CPU)
    task.model.eval()
    assert task.train_data.parts == 2
    batches = [task.train_data.batch(number) for number in range(2)]
    results = [task.losses(batch) for batch in batches]
    sum(result.loss for result in results).backward()
    together = task.model.heads[0].weight.grad.clone()
    task.model.zero_grad()
    for batch in batches:
        task.losses(batch).loss.backward()
    torch.testing.assert_close(task.model.heads[0].weight.grad, together)


def test_other_config_is_not_resumed(pretrain_config):
    run(pretrain_config)
    with pytest.raises(UserError, match="was trained with mask.prob 0.65, which is now 0.5"):
        run(replace(pretrain_config, mask=MaskConfig(0.5, 3)))
    described = load_config(PretrainConfig, Path(pretrain_config.exp_dir) / "config.yaml")
    assert described.mask == pretrain_config.mask


def test_full_gpu_names_the_key_to_lower(pretrain_config, monkeypatch):
    def fill(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(PretrainTask, "losses", fill)
    with pytest.raises(UserError, match=r"^\d s of audio do not fit on the GPU: lower loop.max_batch_seconds$"):
        run(pretrain_config)


def test_a_dev_set_without_labels_is_told_at_once(pretrain_config, tmp_path):
    cuts = list(CutSet.from_file(pretrain_config.dev_cuts))
    for cut in cuts:
        del cut.custom["kmeans"]
    CutSet.from_cuts(cuts).to_file(tmp_path / "dev.jsonl.gz")
    with pytest.raises(UserError, match="has no 'kmeans' labels"):
        PretrainTask(replace(pretrain_config, dev_cuts=str(tmp_path / "dev.jsonl.gz")), CPU)


def test_a_dev_set_of_another_kmeans_is_told_at_once(pretrain_config, tmp_path):
    write_label_config(KMeansConfig(clusters=5), tmp_path)
    with pytest.raises(UserError, match="'kmeans' has 3 classes in .*, but 5 in .*dev.jsonl.gz"):
        with_clusters(replace(pretrain_config, dev_cuts=str(tmp_path / "dev.jsonl.gz")))


def test_short_cuts_of_both_sets_are_counted(pretrain_config):
    task = PretrainTask(replace(pretrain_config, min_seconds=1.0), CPU)
    assert len(task.rejected) == len(task.dev_rejected) == 4  # those of three words, 0.9 s


def test_hours_of_the_corpus_and_of_an_epoch(pretrain_config):
    task = PretrainTask(replace(pretrain_config, min_seconds=1.0, max_seconds=1.24), CPU)
    corpus, seen = hours(task.train_data, task.rejected)
    assert corpus == pytest.approx(4 * (0.9 + 1.2 + 1.5) / 3600)
    assert seen == pytest.approx(4 * (1.2 + 1.24) / 3600, rel=0.03)  # frames of 40 ms: 1.2 s and 1.24 s, or 1.2 s


@pytest.mark.parametrize("max_seconds, told", [(0.6, True), (2.0, False)])
def test_an_epoch_that_sees_little_is_told(pretrain_config, tmp_path, monkeypatch, capsys, max_seconds, told):
    config = replace(pretrain_config, max_seconds=max_seconds, loop=replace(pretrain_config.loop, batch_seconds=1.5))
    save_config(config, tmp_path / "config.yaml")
    monkeypatch.setattr("sys.argv", ["pretrain", f"--config={tmp_path / 'config.yaml'}"])
    pretrain.main()
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == told
    if told:  # 0.6 s of each of 12 cuts of 14.4 s in all
        assert "an epoch sees 50% of the hours of train" in warnings[0] and "max_seconds (0.6)" in warnings[0]


@pytest.mark.parametrize("layer, told", [(1, True), (2, False)])
def test_layers_that_nothing_trains_are_told(pretrain_config, tmp_path, monkeypatch, capsys, layer, told):
    targets = [KMeansTarget("kmeans", layer=layer, clusters=3)]
    save_config(replace(pretrain_config, targets=targets), tmp_path / "config.yaml")
    monkeypatch.setattr("sys.argv", ["pretrain", f"--config={tmp_path / 'config.yaml'}"])
    pretrain.main()
    assert ("no target reads a layer above 1: the last 1 of 2 stay random" in capsys.readouterr().out) == told


@pytest.mark.parametrize(
    "limit, name",
    [
        ("min_target_std", "1_teacher_target_std"),
        ("min_utterance_std", "1_teacher_utterance_std"),
        ("min_perplexity", "2_codebook1_perp"),
    ],
)
def test_collapse_is_reported(pretrain_config, limit, name):
    pretrain_config.targets.append(CodebookTarget("codebook", clusters=4, layer=2, teacher_layer=1))
    config = replace(pretrain_config, guard=GuardConfig(after=1, **{limit: 100.0}))
    with pytest.raises(UserError, match=f"collapse: {name}.* is .* at update 2"):
        run(config)


def test_answers_of_a_fixed_model_do_not_collapse(pretrain_config, pretrained):
    targets = [ModelTarget("model", str(pretrained), [1], layer=2)]
    guard = GuardConfig(after=1, min_target_std=100.0)
    run(replace(pretrain_config, exp_dir=f"{pretrained}-small", targets=targets, guard=guard))


def by_position(self, x, padding):
    """What a teacher answers that has learned to tell positions alone."""
    frames, channels = (torch.arange(1.0, 1 + size) for size in x.shape[1:])
    return [torch.sin(frames[:, None] * channels).expand_as(x)] * 2


def test_targets_of_the_position_alone_are_a_collapse(pretrain_config, monkeypatch):
    """Each frame differs from the others, which is all that the spread over frames sees, and no utterance does."""
    monkeypatch.setattr(Teacher, "forward", by_position)
    config = replace(pretrain_config, guard=GuardConfig(after=2))
    with pytest.raises(UserError, match="1_teacher_utterance_std is 0.001 .* at update 4: utterances look alike"):
        run(config)
    (values,) = read_log(Path(config.exp_dir), "train")
    assert values["1_teacher_target_std"] > 0.8


def test_the_checkpoints_that_are_kept(pretrain_config):
    run(pretrain_config)
    folder = Path(pretrain_config.exp_dir)
    assert [path.name for path in step_checkpoints(folder)] == ["step-3.pt", "step-6.pt"]
    assert {path.name for path in folder.glob("*.pt")} == {"step-3.pt", "step-6.pt", "last.pt", "final.pt"}


def test_clusters_come_from_the_labels(pretrain_config):
    config = replace(pretrain_config, targets=[KMeansTarget("kmeans", clusters=500, layer=2)])
    assert with_clusters(config).targets[0].clusters == 3
    with pytest.raises(UserError, match="other.yaml is missing"):
        with_clusters(replace(config, targets=[KMeansTarget("kmeans", "other")]))
