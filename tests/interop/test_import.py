"""Checkpoints in fairseq's format, made here: what is in them arrives, and nothing that they name runs."""

import argparse
import enum
import os
import pickle
import subprocess
import sys
import types
from collections import defaultdict

import pytest
import torch
from random_models import MODELS, assert_same_layers, fairseq_settings, fairseq_weights, random_model

from mt4ssl.errors import UserError
from mt4ssl.inference.models import Encoder
from mt4ssl.interop.fairseq import import_fairseq
from mt4ssl.interop.unpickle import read_pickle


@pytest.fixture
def absent_packages(monkeypatch):
    """Modules named fairseq and omegaconf while a checkpoint is written; gone when it is read."""

    class Dictionary:
        def __init__(self):
            self.symbols, self.count = ["<s>"], [1]

    class Mode(enum.Enum):
        DEFAULT = "default"

    class DictConfig:
        def __init__(self, content):
            self._metadata, self._content = {"ref_type": DictConfig}, content

    class AnyNode:
        def __init__(self, value):
            self._val = value

    with pytest.MonkeyPatch.context() as patch:
        for module, classes in {"fairseq.data": [Dictionary, Mode], "omegaconf": [DictConfig, AnyNode]}.items():
            fake = types.ModuleType(module)
            for cls in classes:
                cls.__module__, cls.__qualname__ = module, cls.__name__
                setattr(fake, cls.__name__, cls)
            patch.setitem(sys.modules, module, fake)
        patch.setitem(sys.modules, "fairseq", types.ModuleType("fairseq"))
        yield types.SimpleNamespace(Dictionary=Dictionary, Mode=Mode, DictConfig=DictConfig, AnyNode=AnyNode)


def surroundings(model) -> dict:
    """What fairseq's trainer stores beside the weights."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    sum(p.sum() for p in model.parameters()).backward()
    optimiser.step()
    return {
        "optimizer_history": [{"criterion_name": "X", "lr_scheduler_state": {"best": None}, "num_updates": 5}],
        "last_optimizer_state": optimiser.state_dict(),
        "extra_state": {"epoch": 3, "meters": defaultdict(list, loss=[1.0])},
    }


@pytest.mark.parametrize("style", ["cfg", "omegaconf", "args", "before torch 1.6"])
@pytest.mark.parametrize("name", MODELS)
def test_fairseq_checkpoint(name, style, absent_packages, tmp_path):
    settings = fairseq_settings(MODELS[name])
    content = surroundings(random_model(MODELS[name]))
    theirs = random_model(MODELS[name])
    heads = {"final_proj.weight": torch.zeros(2, 48), "_ema": {"layers.0.fc1.bias": torch.zeros(96)}}
    weights = fairseq_weights(theirs)
    content["model"] = {**weights, **heads}
    content["task_state"] = {"dictionaries": [absent_packages.Dictionary()]}
    task = {"_name": "audio_pretraining", "normalize": False, "mode": absent_packages.Mode.DEFAULT}
    if style == "cfg":
        content.update(args=None, cfg={"common": argparse.Namespace(seed=1), "model": settings, "task": task})
    elif style == "omegaconf":
        node, dict_config = absent_packages.AnyNode, absent_packages.DictConfig
        model = dict_config({key: node(value) for key, value in settings.items()})
        content["cfg"] = dict_config({"model": model, "task": dict_config({"normalize": node(False)})})
    else:
        content["args"] = argparse.Namespace(**settings, normalize=False)
    torch.save(content, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=style != "before torch 1.6")
    for module in ("fairseq", "fairseq.data", "omegaconf"):
        del sys.modules[module]

    imported = import_fairseq(tmp_path / "checkpoint.pt")
    assert_same_layers(theirs, imported.encoder)
    assert imported.left_out == ["_ema", "final_proj.weight"]
    assert not imported.architecture.frontend.normalise
    assert torch.equal(imported.mask_embedding, weights["mask_emb"])
    assert "fairseq" not in sys.modules


class Attack:
    """A pickle that runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["model", "cfg"])
def test_malicious_checkpoint_is_refused(where, zipped, tmp_path):
    bad = tmp_path / "bad.pt"
    torch.save({where: Attack(tmp_path / "ran")}, bad, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="wants to run 'posix.system'"):
        read_pickle(bad)
    assert not (tmp_path / "ran").exists()
    torch.load(bad, weights_only=False)  # the attack is a real one
    assert (tmp_path / "ran").exists()


def test_known_packages_are_not_a_way_round(tmp_path, monkeypatch):
    """Names of fairseq and numpy are stand-ins: nothing of those packages runs, installed or not."""
    pickled = b"\x80\x02cnumpy.testing._private.utils\nrundocs\nU\x04evil\x85R."
    (tmp_path / "bad.pt").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    with open(tmp_path / "bad.pt", "ab") as file:
        file.write(pickle.dumps({"little_endian": True}, 2) + pickled + pickle.dumps([], 2))
    assert type(read_pickle(tmp_path / "bad.pt")).__name__ == "Record"


@pytest.mark.parametrize(
    "content, message",
    [
        ({"weights": 1}, "no entry 'model'"),
        ({"model": {}}, "neither 'cfg' nor 'args'"),
        ({"model": {"w2v_encoder.proj.weight": torch.zeros(1)}}, "is fine-tuned"),
        ({"model": {}, "cfg": {"model": {"activation_fn": "relu"}}}, "activation_fn: 'relu' is not supported"),
        ({"model": {"mask_emb": torch.zeros(768)}, "cfg": {"model": {}}}, "has no weight 'feature_extractor"),
    ],
)
def test_checkpoints_that_do_not_fit(content, message, tmp_path):
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=message):
        import_fairseq(tmp_path / "checkpoint.pt")


def test_unknown_weights_are_not_dropped_silently(tmp_path):
    weights = fairseq_weights(random_model(MODELS["hubert base"]))
    settings = fairseq_settings(MODELS["hubert base"])
    torch.save({"model": {**weights, "encoder.extra": torch.zeros(1)}, "cfg": {"model": settings}}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="no place for the weight 'encoder.extra'"):
        import_fairseq(tmp_path / "c.pt")


def test_damaged_files(tmp_path):
    for content in (b"", b"not a checkpoint", b"PK\x03\x04 cut"):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_pickle(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="no such checkpoint"):
        read_pickle(tmp_path / "missing.pt")


def test_the_verb(tmp_path):
    theirs = random_model(MODELS["data2vec"])
    theirs.save_pretrained(tmp_path / "their model")
    command = [sys.executable, "-m", "mt4ssl.bin.import_checkpoint", tmp_path / "their model", tmp_path / "our model"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "normalises waveforms" in result.stdout
    assert_same_layers(theirs, Encoder(tmp_path / "our model").model)
    command[3] = tmp_path
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
