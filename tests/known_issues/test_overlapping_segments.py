"""Stage 2 gave the cut of one of two overlapping segments the id and the text of the other."""

import lhotse
from corpora import Stage1, noise, write_audio

from mt4ssl.bin import compute_features


def test_every_cut_has_its_own_segment(tmp_path, monkeypatch):
    stage1 = Stage1(tmp_path)
    audio = write_audio(tmp_path / "r.wav", noise(4))
    (tmp_path / "all.csv").write_text(f"audio,id,text,start,end\n{audio},x,one,0,2\n{audio},y,two,1,3\n")
    assert not stage1.prepare({"table": str(tmp_path / "all.csv")}).error
    options = ["--type", "fbank", "--corpus", "c", "--split", "train", "--on-the-fly"]
    folders = ["--manifests", str(stage1.out), "--out", str(tmp_path / "fbank")]
    monkeypatch.setattr("sys.argv", ["compute_features", *options, *folders])
    compute_features.main()
    cuts = lhotse.load_manifest(tmp_path / "fbank/c_cuts_train.jsonl.gz")
    found = {cut.id: (cut.start, cut.end, [segment.text for segment in cut.supervisions]) for cut in cuts}
    assert found == {"x": (0.0, 2.0, ["one"]), "y": (1.0, 3.0, ["two"])}
