"""A whole recipe, stages 0 to 12 with real k2, in a folder with a name that no shell may see, and with such files."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from random_models import MODELS, fairseq_settings, fairseq_weights, random_model

from mt4ssl.decode.greedy import greedy_search
from mt4ssl.inference.folder import save_recogniser
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig

ROOT = Path(__file__).parents[2]
FOLDER = "-a; touch x $(touch x) `touch x` 'tiny' \"recipe\" #1, *[a]? ü\n".ljust(254, "x")  # with the ü, 255 bytes
HOSTILE = ["; touch x", "$(touch x)", "`touch x`", "two\nlines", "-rf", ".hidden", "a 'b' \"c\" |", "été", "%s{}*[?]\\"]
OUTPUTS = """
download/espeak/train_labelled.txt
data/manifests/espeak_supervisions_train_labelled.jsonl.gz
data/fbank/espeak_cuts_train_labelled.jsonl.gz
data/mfcc/espeak_cuts_train.jsonl.gz
exp/kmeans/iter1/quality.json
exp/kmeans/iter2/quality.json
exp/kmeans/iter2/phones_dev.ctm
data/kmeans/iter2/espeak_cuts_train.jsonl.gz
exp/pretrain/mt4ssl_iter2/final.pt
data/lang_phone/tokens.txt
data/lang_phone/HLG.pt
data/lm_phone/G_4_gram.pt
exp/finetune/scratch_phone/final.pt
exp/finetune/mt4ssl_phone/log_probs/test.scp
exp/probe/mt4ssl_iter2/probe.json
exp/finetune/mt4ssl_phone/ctc-greedy-search/wer-summary-test.txt
exp/finetune/mt4ssl_phone/1best/wer-summary-test.txt
exp/finetune/scratch_phone/whole-lattice-rescoring/wer-test.json
exp/RESULTS.md
exp/export/pretrained
exp/export/ctc
"""


def run(recipe: Path, *options: str) -> str:
    """Run the recipe from another folder; return what it printed."""
    result = subprocess.run(
        [recipe / "run.sh", *options],
        cwd=recipe.parent,
        env={**os.environ, "MT4SSL_ROOT": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    assert "Traceback" not in result.stdout
    return result.stdout


def steps_run(output: str) -> list[str]:
    """The steps that ran, as "stage step"."""
    return re.findall(r"^stage \d+ \((.*\): \S+) \(", output, flags=re.MULTILINE)


def files(recipe: Path) -> dict[Path, int]:
    """Every file of the recipe with its time of change."""
    visible = [path for path in recipe.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path: path.stat().st_mtime_ns for path in visible}


def make_readme_s_models(workspace: Path, recipe: Path) -> None:
    """What README.md has and a recipe does not make: somebody's checkpoint, and a fine-tuned waveform model."""
    config = MODELS["hubert base"]
    checkpoint = {"model": fairseq_weights(random_model(config)), "cfg": {"model": fairseq_settings(config)}}
    torch.save(checkpoint, workspace / "hubert_base_ls960.pt")
    encoder = EncoderConfig(layers=1, dim=32, ffn_dim=64, heads=2, pos_conv_width=5, pos_conv_groups=4)
    architecture = ModelConfig(FrontendConfig("waveform", 16), encoder)
    lang = workspace / "lang"
    lang.mkdir()
    (lang / "tokens.txt").write_text("<blk> 0\n▁ 1\nA 2\nT 3\n", encoding="utf-8")
    model = CtcModel(architecture, CtcConfig(), len(Tokens(lang)))
    save_recogniser(workspace / "egs/librispeech/exp/finetune/mt4ssl_train-10h", model, architecture, CtcConfig(), lang)


def check_readme_snippets(recipe: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python and the commands of README.md and docs/models.md work on the models, and find what stage 9 found."""
    flac = next(recipe.glob("download/espeak/test/*/*/*.flac"))
    (workspace / "egs").mkdir(parents=True)
    (workspace / "egs/espeak").symlink_to(recipe)
    shutil.copy(flac, workspace / "speech.flac")
    make_readme_s_models(workspace, recipe)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}:{os.environ['PATH']}")
    found: dict = {}
    pages = "".join((ROOT / name).read_text() for name in ("README.md", "docs/models.md"))
    snippets = re.findall(r"```(python|bash)\n(.*?)```", pages, flags=re.DOTALL)
    for language, snippet in snippets:
        if language == "bash":
            subprocess.run(["bash", "-euc", snippet], check=True)
        else:
            exec(snippet, found)
    phones = " ".join(found["recogniser"].phones(flac))
    hypotheses = (recipe / "exp/finetune/mt4ssl_phone/ctc-greedy-search/hyps-test.txt").read_text()
    assert f"{flac.stem} {phones}".strip() in hypotheses.splitlines()
    assert found["recogniser"].tokens.decode(greedy_search(found["log_probs"][0])) == phones
    assert [layer.shape[1] for layer in found["layers"]] == [32, 32]
    assert found["model"].config.num_hidden_layers == 3
    assert "| test | greedy |" in (workspace / "models/onnx/README.md").read_text()


def replace_in(path: Path, old: str, new: str) -> None:
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def copy_under_hostile_names(split: Path, other: Path) -> None:
    """Copy utterances of a split to files, and list them under ids, that no shell, list or pattern may take apart."""
    lines = [line for path in split.rglob("*.trans.txt") for line in path.read_text().splitlines()]
    texts = dict(line.split(maxsplit=1) for line in lines)
    audio = sorted(split.rglob("*.flac"))
    with other.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["audio", "id", "text"])
        other.mkdir()
        for number, name in enumerate([*HOSTILE, "x" * 250]):  # with the suffix, 255 bytes
            source = audio[number % len(audio)]
            shutil.copy(source, other / f"{name}.flac")
            table.writerow([f"{other.name}/{name}.flac", f"../{name}", texts[source.stem]])


def check_hostile_names(recipe: Path) -> None:
    """All of these utterances are decoded, and no command in a name has run."""
    (hypotheses,) = (recipe / "exp/finetune/mt4ssl_phone/1best").glob("hyps-other-*.txt")
    names = [line.split()[0] for line in hypotheses.read_text(encoding="utf-8").splitlines()]
    assert len(set(names)) == len(HOSTILE) + 1
    assert "_.._-rf" in names and "_.._été" in names
    assert not [path for path in recipe.parent.rglob("*") if path.name == "x"]


def check_alignment(recipe: Path) -> None:
    """Labels are compared with the phones of the corpus, and with those that the fine-tuned model aligned."""
    for iteration in ("iter1", "iter2"):
        folder = recipe / "exp/kmeans" / iteration
        known, aligned = (json.loads((folder / f"quality{name}.json").read_text()) for name in ("", "_aligned"))
        assert 0 < aligned["pnmi"] < 1 and aligned["pnmi"] != known["pnmi"] and aligned["frames"] == known["frames"]
    assert "of forced alignment" in (recipe / "exp/RESULTS.md").read_text()


def check_dev_may_change(recipe: Path) -> None:
    """Cuts of dev that are written anew, as after a word of its text is corrected, leave pre-training as it is."""
    cuts = recipe / "data/kmeans/iter2/espeak_cuts_dev.jsonl.gz"
    time = cuts.stat().st_mtime_ns
    os.utime(cuts, ns=(0, 0))
    assert steps_run(run(recipe, "--stage", "5", "--stop-stage", "5")) == []
    os.utime(cuts, ns=(time, time))


def check_other_model(recipe: Path, model: Path) -> None:
    """An imported model is fine-tuned in place of stages 3 to 5; the scratch model of another architecture stays."""
    short = "--loop.updates 2 --loop.save_every 1 --loop.batch_seconds 5"
    run(recipe, "--stage", "8", "--stop-stage", "9", "--pretrained", str(model), "--finetune-args", short)
    assert (recipe / "exp/finetune/hubert_phone/ctc-greedy-search/wer-test.json").exists()
    (old,) = (recipe / "exp/old").glob("*/finetune/scratch_phone/final.pt")
    assert (recipe / "exp/finetune/scratch_phone/final.pt").stat().st_mtime_ns > old.stat().st_mtime_ns


@pytest.mark.skipif(not (ROOT / ".k2python").exists(), reason="no k2: run tools/install_k2.sh")
def test_whole_recipe_then_nothing_then_only_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / FOLDER
    shutil.copytree(Path(__file__).parent / "tiny", recipe)
    output = run(recipe)
    missing = [name for name in OUTPUTS.split() if not (recipe / name).exists()]
    assert not missing, output
    assert "mt4ssl" in (recipe / "exp/RESULTS.md").read_text()

    check_alignment(recipe)

    check_dev_may_change(recipe)
    before = files(recipe)
    assert steps_run(run(recipe)) == []
    assert files(recipe) == before

    (recipe / "exp/finetune/mt4ssl_phone/log_probs/test.ark").unlink()
    redone = steps_run(run(recipe, "--stop-stage", "10"))
    assert redone[0] == "emit): mt4ssl_phone.test"
    assert "decode): mt4ssl_phone.1best.test" in redone
    assert not [step for step in redone if ".test" not in step or "scratch" in step]

    copy_under_hostile_names(recipe / "download/espeak/test", recipe / "download/espeak/other")
    replace_in(recipe / "run.sh", 'test_sets="test"', 'test_sets="test other"')
    replace_in(recipe / "conf/corpus.yaml", "lm_text:", "  other: {table: $dl_dir/espeak/other.csv}\nlm_text:")
    redone = steps_run(run(recipe, "--stage", "1", "--stop-stage", "10"))
    assert {"manifests): other", "features): fbank.other", "labels): iter2.other", "emit): scratch_phone.other"} <= set(
        redone
    )
    assert not [step for step in redone if "other" not in step and "perplexity" not in step], redone
    check_hostile_names(recipe)

    (recipe / "conf/kmeans.yaml").write_text("clusters: 10\nmax_frames: 10000\n")
    redone = steps_run(run(recipe, "--stop-stage", "3", "--km-iter", "1"))
    assert redone == ["kmeans): iter1"]

    check_readme_snippets(recipe, tmp_path / "somewhere else", monkeypatch)
    check_other_model(recipe, tmp_path / "somewhere else/models/hubert")
