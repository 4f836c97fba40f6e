"""What a split needs of conf/corpus.yaml: as long as that is the same, stage 1 leaves the split as it is."""

import pytest
import yaml

from mt4ssl.bin import split_config

FOLDER, TABLE = {"audio": "/data/podcasts"}, {"table": "/data/all.tsv"}


@pytest.fixture
def needs(tmp_path, monkeypatch):
    """Returns the config of a split (None: of the language models), of the corpus with the values that are given."""

    def config(split, **values):
        corpus, out = tmp_path / "corpus.yaml", tmp_path / "out.yaml"
        corpus.write_text(yaml.safe_dump({"splits": {"podcasts": FOLDER, "train": TABLE}, **values}))
        options = ["--split", split] if split else []
        monkeypatch.setattr("sys.argv", ["", "--config", str(corpus), "--out", str(out), *options])
        split_config.main()
        return out.read_text()

    return config


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"max_seconds": 20.0}, {"podcasts", "train"}),
        ({"text": {"case": "upper"}}, {"train", None}),
        ({"lm_text": [__file__]}, {None}),
        ({"max_rejected": 0.5}, set()),
        ({"splits": {"podcasts": FOLDER, "train": TABLE, "test": TABLE}}, set()),
        ({"splits": {"podcasts": FOLDER, "train": TABLE | {"vad": True}}}, {"train"}),
    ],
)
def test_what_changes_with_a_value(needs, values, changed):
    assert {split for split in ("podcasts", "train", None) if needs(split) != needs(split, **values)} == changed
