"""A model from elsewhere is fine-tuned and clustered like one of a pre-training of ours."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lhotse import load_manifest
from random_models import MODELS, random_model

from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, train_kmeans
from mt4ssl.inference.folder import save_encoder
from mt4ssl.interop.huggingface import import_huggingface
from mt4ssl.results import read_log
from mt4ssl.train.finetuning import FinetuneTask
from mt4ssl.train.loop import train


@pytest.fixture(params=["data2vec", "hubert base", "wav2vec2 large"])
def imported(request, tmp_path):
    theirs = random_model(MODELS[request.param])
    theirs.save_pretrained(tmp_path / "theirs")
    encoder, mask_embedding, architecture, _ = import_huggingface(tmp_path / "theirs")
    save_encoder(tmp_path / "imported", encoder, mask_embedding, architecture)
    return tmp_path / "imported", theirs


def test_fine_tuning(imported, finetune_config):
    folder, theirs = imported
    config = replace(finetune_config, pretrained=str(folder), from_scratch=False)
    task = FinetuneTask(config, torch.device("cpu"))
    assert torch.equal(task.model.mask_embedding, theirs.masked_spec_embed)
    before = {name: weight.clone() for name, weight in task.model.encoder.state_dict().items()}
    train(task)
    after = task.model.encoder.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"feature_norm", "projection", "encoder"}  # the front-end is kept
    assert read_log(Path(config.exp_dir), "dev")[-1]["loss"] > 0


def test_k_means_on_a_layer(imported, corpus):
    folder, theirs = imported
    config = KMeansConfig(clusters=3, features="layer", layer=2, checkpoint=str(folder), restarts=1)
    features = frame_features(config)
    cuts = load_manifest(corpus.cuts)
    waveform = torch.from_numpy(cuts[0].load_audio())
    with torch.no_grad():
        expected = theirs(waveform, output_hidden_states=True).hidden_states[2][0]
    torch.testing.assert_close(torch.from_numpy(features(cuts[0])), expected, rtol=0, atol=1e-5)
    frames = sample_frames(cuts, features, max_frames=100, seed=0)
    assert train_kmeans(frames, config)[0].shape == (3, 48)
