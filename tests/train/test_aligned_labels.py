"""A pre-training learns labels from alignments as it learns those of a K-means."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from lhotse import CutSet
from lhotse.supervision import AlignmentItem

from mt4ssl.bin.make_aligned_labels import main
from mt4ssl.results import read_log
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainTask, with_clusters


def test_phones_are_learned(corpus, pretrain_config, tmp_path, monkeypatch):
    cuts = list(CutSet.from_file(corpus.cuts))
    for cut in cuts:
        words = cut.supervisions[0].text.split()
        items = [AlignmentItem(word, place * 0.3, 0.3) for place, word in enumerate(words)]
        cut.supervisions = [cut.supervisions[0].with_alignment("phone", items)]
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    arguments = ["--cuts", str(tmp_path / "cuts.jsonl.gz"), "--out", str(tmp_path / "labels")]
    monkeypatch.setattr(sys, "argv", ["make_aligned_labels", *arguments])
    main()
    for cut in CutSet.from_file(tmp_path / "labels/cuts.jsonl.gz"):
        assert cut.load_custom("phones").tolist() == cut.load_custom("kmeans").tolist()  # A, B and C, in this order

    monkeypatch.setattr(sys, "argv", ["make_aligned_labels", *arguments, "--triphones", "5", "--name", "contexts"])
    main()
    contexts = (tmp_path / "labels/contexts.txt").read_text().split()[::2]
    assert sum("+" in symbol for symbol in contexts) == 5 and "sil" in contexts
    for cut, plain in zip(CutSet.from_file(tmp_path / "labels/cuts.jsonl.gz"), cuts):
        assert cut.supervisions[0].alignment == plain.supervisions[0].alignment

    monkeypatch.setattr(sys, "argv", ["make_aligned_labels", *arguments])
    main()
    labelled = str(tmp_path / "labels/cuts.jsonl.gz")
    targets = [KMeansTarget("kmeans", name="phones", layer=2)]
    loop = replace(pretrain_config.loop, updates=40, log_every=10, validate_every=40)
    config = replace(pretrain_config, train_cuts=labelled, dev_cuts=labelled, targets=targets, loop=loop)
    config = with_clusters(config)
    assert config.targets[0].clusters == 4  # with silence
    train(PretrainTask(config, torch.device("cpu")))
    log = read_log(Path(config.exp_dir), "train")
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
