"""MT4SSL against numbers of the official model (shared reference: fairseq 0.12.2, torch 1.13.1, CPU, fp32)."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from mt4ssl.errors import UserError
from mt4ssl.interop.fairseq import load_mt4ssl
from mt4ssl.targets.teacher import teacher_target

REFERENCE = np.load(Path(__file__).parent / "mt4ssl_reference_tiny.npz")
CONFIG = ast.literal_eval(str(REFERENCE["config"]))
STEPS = 5


def tensor(name: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(REFERENCE[name]))


def group(prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor(name) for name in REFERENCE.files if name.startswith(prefix)}


def load(**changes):
    return load_mt4ssl(group("init/"), {**CONFIG, **changes})


def run(model, step: int):
    """The official batch through our model, with the official mask of that step."""
    labels = {"kmeans": tensor("labels")}
    return model(tensor("source"), tensor("num_samples"), labels, tensor(f"step{step}/mask").flatten().nonzero()[:, 0])


def gradient(model, name: str) -> torch.Tensor:
    parameters = {
        "mask_emb": model.mask_embedding,
        "final_proj.weight": model.heads[1].weight,
        "encoder.layers.0.self_attn.k_proj.weight": model.student.encoder.layers[0].qkv.weight,
    }
    grad = parameters[name].grad
    return grad.chunk(3)[1] if "k_proj" in name else grad


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference over the norm of the reference."""
    return ((ours - theirs).norm() / theirs.norm()).item()


def test_features_and_layers_of_the_official_model():
    model = load().eval()
    source, samples = tensor("source"), tensor("num_samples")
    with torch.no_grad():
        features, lengths = model.student.project(source, samples)
        outputs, _ = model.student(source, samples)
        masked = torch.where(tensor("step0/mask")[..., None], model.mask_embedding, features)
        encoded = model.student.encoder(masked)[0][-1]
    assert lengths.tolist() == tensor("num_frames").tolist()
    assert relative(features, tensor("step0/projected_features")) < 1e-4
    assert relative(encoded, tensor("step0/encoder_out")) < 1e-4
    assert relative(outputs[-1], tensor("features_eval")) < 1e-4
    assert len(outputs) == CONFIG["encoder_layers"]
    for number, output in enumerate(outputs):
        assert relative(output, tensor(f"layer_eval/{number}")) < 1e-4


def test_five_updates_of_the_official_training():
    model = load()
    # torch's Adam decays weights through the gradient, as fairseq's does.
    optimiser = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad],
        lr=CONFIG["lr"], betas=CONFIG["adam_betas"], eps=CONFIG["adam_eps"], weight_decay=CONFIG["weight_decay"],
    )  # fmt: skip
    for step in range(STEPS):
        result = run(model, step)
        assert result.frames == int(tensor(f"step{step}/masked_frames"))
        for ours, theirs in (("0_kmeans", "ce_sum"), ("1_teacher", "regression_sum")):
            assert result.sums[ours].item() == pytest.approx(float(tensor(f"step{step}/{theirs}")), rel=1e-4)
        for ours, theirs in (("target", "target_std"), ("prediction", "pred_std")):
            std = result.sums[f"1_teacher_{ours}_std"].item() / result.frames
            assert std == pytest.approx(float(tensor(f"step{step}/{theirs}")), rel=1e-4)
        optimiser.zero_grad()
        (result.loss / result.frames).backward()
        if step == 0:
            norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            assert norm.item() == pytest.approx(float(tensor("step0/grad_norm")), rel=1e-3)
            for name, theirs in group("step0/grad/").items():
                assert relative(gradient(model, name), theirs) < 1e-3, name
        optimiser.step()
        decay = model.finish_update(step + 1)["ema_decay"]
        assert decay == pytest.approx(float(tensor(f"step{step}/ema_decay_after")), rel=1e-9)

    student, teacher = model.student.encoder, model.teacher.encoder
    final = {
        "mask_emb": model.mask_embedding,
        "encoder.pos_conv.0.0.weight": student.position.layers[0].weight,
        "encoder.layers.0.fc1.weight": student.layers[0].fc1.weight,
        "final_proj_hubert.weight": model.heads[0].weight,
    }
    for name, theirs in group("final/").items():
        assert relative(final[name], theirs) < 1e-3, name
        # The weights hardly move in five steps: their movement must agree too.
        start = tensor(f"init/{name}")
        assert relative(final[name] - start, theirs - start) < 1e-2, name
    theirs = tensor("final_teacher/layers.0.fc1.weight")
    assert relative(teacher.layers[0].fc1.weight, theirs) < 1e-3
    start = tensor("init/encoder.layers.0.fc1.weight")
    assert relative(teacher.layers[0].fc1.weight - start, theirs - start) < 1e-2


def test_teacher_of_the_checkpoint():
    encoder = {
        name.removeprefix("encoder."): weight + 1
        for name, weight in group("init/").items()
        if name.startswith("encoder.") and "pos_conv" not in name
    }
    model = load_mt4ssl({**group("init/"), "_ema": encoder}, CONFIG)
    torch.testing.assert_close(model.teacher.encoder.layers[2].fc2.bias, encoder["layers.2.fc2.bias"])
    torch.testing.assert_close(model.teacher.encoder.norm.weight, encoder["layer_norm.weight"])
    torch.testing.assert_close(  # which `_ema` may leave out, since it is the student's
        model.teacher.encoder.position.layers[0].weight, tensor("init/encoder.pos_conv.0.0.weight")
    )


def test_ablations_are_switches():
    assert [target.type for target in load(ce_loss=False).targets] == ["teacher"]
    assert [target.type for target in load(mse_loss=False).targets] == ["kmeans"]
    assert load(mse_loss=False).teacher is None


def test_padding_does_not_reach_the_teacher_s_statistics():
    """The difference to the official model, which normalises targets over padding as well."""
    teacher = load().teacher
    features = tensor("step0/projected_features")
    padding = torch.arange(features.size(1) + 40)[None] >= features.size(1)
    padding = padding.expand(len(features), -1)
    results = teacher(features, None)
    padded = [torch.nn.functional.pad(result, (0, 0, 0, 40), value=7.0) for result in results]
    expected = teacher_target(results, 2, None)
    ours = teacher_target(padded, 2, padding)[:, : features.size(1)]
    official = teacher_target(padded, 2, None)[:, : features.size(1)]
    assert relative(ours, expected) < 1e-5
    assert relative(official, expected) > 0.1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss_beta": 0.25}, "loss_beta: 0.25 is not supported"),
        ({"instance_norm_target_layer": False}, "instance_norm_target_layer: False"),
        ({"encoder_layers": 4}, "no weight 'encoder.layers.3"),
        ({"encoder_embed_dim": 96}, "does not fit the model"),
        ({"conv_feature_layers": "__import__('os').getcwd()"}, "cannot read"),
        ({"conv_feature_layers": "[(32,10,5), (48,3,2)]"}, "different widths"),
        ({"conv_feature_layers": "[(32,10,5"}, "is no list of convolutions"),
    ],
)
def test_what_does_not_fit(change, message):
    with pytest.raises(UserError, match=message):
        load(**change)
