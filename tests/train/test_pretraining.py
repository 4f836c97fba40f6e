"""Pre-training runs, resumes exactly, accumulates exactly, and refuses to go on when it has failed."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from mt4ssl.checkpoint import load_checkpoint, step_checkpoints
from mt4ssl.errors import UserError
from mt4ssl.models.masking import MaskConfig
from mt4ssl.models.mt4ssl import KMeansTarget
from mt4ssl.results import read_log
from mt4ssl.train.loop import choose_dtype, train
from mt4ssl.train.optim import OptimConfig, make_optimizer
from mt4ssl.train.pretraining import GuardConfig, PretrainTask, with_clusters

CPU = torch.device("cpu")


def run(config):
    folder = Path(config.exp_dir)
    folder.mkdir(parents=True, exist_ok=True)
    task = PretrainTask(config, CPU)
    train(
        task,
        make_optimizer([(task.model, 1.0)], config.optim),
        task.train_data,
        config.optim,
        config.loop,
        folder,
        CPU,
        asdict(config),
    )
    return load_checkpoint(folder / "final.pt")


def test_learns_and_logs(pretrain_config):
    config = replace(pretrain_config, loop=replace(pretrain_config.loop, updates=60, log_every=10, validate_every=30))
    run(config)
    log = read_log(Path(config.exp_dir), "train")
    assert [values["step"] for values in log] == list(range(10, 61, 10))
    assert log[-1]["0_kmeans"] < 0.7 * log[0]["0_kmeans"]
    wanted = {"loss", "0_kmeans", "0_kmeans_accuracy", "1_teacher", "1_teacher_target_std", "1_teacher_prediction_std"}
    assert wanted | {"ema_decay", "grad_norm", "lr", "audio_s_per_s", "data_wait"} <= set(log[-1])
    assert wanted <= set(read_log(Path(config.exp_dir), "dev")[-1])
    assert log[-1]["ema_decay"] == 0.99


def test_speed_leaves_validation_out_and_nothing_else(pretrain_config, monkeypatch):
    """Validation in the middle of a window of the log once doubled the speed logged at its end."""
    now = 0.0

    def lasting(method, seconds):
        def call(*args):
            nonlocal now
            now += seconds
            return method(*args)

        return call

    monkeypatch.setattr("mt4ssl.train.loop.time.perf_counter", lambda: now)
    monkeypatch.setattr(PretrainTask, "validate", lasting(PretrainTask.validate, 100.0))
    monkeypatch.setattr(PretrainTask, "finish_update", lasting(PretrainTask.finish_update, 1.0))
    monkeypatch.setattr("mt4ssl.train.loop.matrix_peak", lambda *_: 1.0)
    run(pretrain_config)  # six updates of about 4 s, validated after the third and the last, logged after every second
    speeds = [values["audio_s_per_s"] for values in read_log(Path(pretrain_config.exp_dir), "train")]
    assert speeds == pytest.approx([4.0] * 3, rel=0.3)


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_auto_is_the_dtype_of_the_faster_matrix_products(faster, monkeypatch):
    monkeypatch.setattr("mt4ssl.train.loop.matrix_peak", lambda dtype, _: 2e9 if dtype == faster else 1e9)
    assert choose_dtype("auto", CPU) == (faster, 2e9)
    assert choose_dtype("fp32", CPU)[0] == torch.float32 and choose_dtype("bf16", CPU)[0] == torch.bfloat16


def test_killed_and_resumed_is_as_uninterrupted(pretrain_config, tmp_path, monkeypatch):
    whole = run(pretrain_config)["model"]

    class Killed(Exception):
        pass

    def kill(self, step):
        if step == 5:
            raise Killed
        return original(self, step)

    original = PretrainTask.finish_update
    config = replace(pretrain_config, exp_dir=str(tmp_path / "interrupted"))
    monkeypatch.setattr(PretrainTask, "finish_update", kill)
    with pytest.raises(Killed):
        run(config)
    monkeypatch.setattr(PretrainTask, "finish_update", original)
    resumed = run(config)["model"]
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    assert [v["step"] for v in read_log(Path(config.exp_dir), "train")] == [2, 4, 6]


def test_workers_change_nothing(pretrain_config, tmp_path):
    one = run(pretrain_config)["model"]
    config = replace(pretrain_config, exp_dir=str(tmp_path / "b"), loop=replace(pretrain_config.loop, workers=2))
    other = run(config)["model"]
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_gradients_of_micro_batches_add_up(pretrain_config):
    config = replace(pretrain_config, loop=replace(pretrain_config.loop, batch_seconds=8, max_batch_seconds=4))
    task = PretrainTask(config, CPU)
    task.model.eval()
    batches = task.train_data[0]
    assert len(batches) == 2
    results = [task.losses(batch) for batch in batches]
    sum(result.loss for result in results).backward()
    together = task.model.heads[0].weight.grad.clone()
    task.model.zero_grad()
    for batch in batches:
        task.losses(batch).loss.backward()
    torch.testing.assert_close(task.model.heads[0].weight.grad, together)


def test_other_config_is_not_resumed(pretrain_config):
    run(pretrain_config)
    with pytest.raises(UserError, match="was trained with another mask"):
        run(replace(pretrain_config, mask=MaskConfig(0.5, 3)))


def test_collapse_is_reported(pretrain_config):
    config = replace(pretrain_config, guard=GuardConfig(after=1, min_target_std=100.0))
    with pytest.raises(UserError, match="collapse: 1_teacher_target_std is"):
        run(config)


def test_diverged_gradients_are_reported(pretrain_config):
    config = replace(pretrain_config, optim=OptimConfig(lr=1e30, warmup=0.0))
    with pytest.raises(UserError, match="gradients are"):
        run(config)


def test_checkpoints_kept_and_damaged(pretrain_config):
    run(pretrain_config)
    folder = Path(pretrain_config.exp_dir)
    assert [path.name for path in step_checkpoints(folder)] == ["step-3.pt", "step-6.pt"]
    last = folder / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(UserError, match="last.pt cannot be read as a checkpoint"):
        run(pretrain_config)


def test_clusters_come_from_the_labels(pretrain_config):
    config = replace(pretrain_config, targets=[KMeansTarget("kmeans", clusters=500, layer=2)])
    assert with_clusters(config).targets[0].clusters == 3
    with pytest.raises(UserError, match="other.yaml is missing"):
        with_clusters(replace(config, targets=[KMeansTarget("kmeans", "other")]))
