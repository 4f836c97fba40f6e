"""extract_features against the model's own layers, for both front-ends, both inputs and both formats."""

import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, LilcomChunkyWriter, Recording

from mt4ssl.bin.extract_features import main
from mt4ssl.clustering.features import LayerFeatures, frame_features
from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, save_kmeans, train_kmeans
from mt4ssl.data.features import make_extractor
from mt4ssl.errors import UserError
from mt4ssl.inference.folder import save_encoder, save_folder
from mt4ssl.inference.models import audio_input
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

TINY = dict(layers=3, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4)
MODELS = {
    "fbank": ModelConfig(FrontendConfig("fbank", 24, [3, 3], [2, 2]), EncoderConfig(**TINY)),
    "waveform": ModelConfig(FrontendConfig("waveform", 24), EncoderConfig(**TINY, pre_norm=True)),
}
SECONDS = {"c": 1.0, "a": 0.73, "b": 1.31}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Models `fbank` and `waveform`, audio, its cuts, and cuts with stored fbank and no audio."""
    folder = tmp_path_factory.mktemp("some data")
    torch.manual_seed(0)
    for name, architecture in MODELS.items():
        model = SpeechEncoder(architecture)
        torch.nn.init.normal_(model.encoder.norm.weight)
        save_encoder(folder / name, model, torch.zeros(32), architecture)
    rng = np.random.default_rng(0)
    cuts = []
    with LilcomChunkyWriter(folder / "feats.lca") as writer:
        for name, seconds in SECONDS.items():
            soundfile.write(folder / f"{name}.wav", rng.normal(size=round(16000 * seconds)) * 0.1, 16000)
            cut = Recording.from_file(folder / f"{name}.wav").to_cut()
            cuts.append(cut.compute_and_store_features(make_extractor("fbank"), writer))
    CutSet.from_cuts(cut.drop_features() for cut in cuts).to_file(folder / "cuts.jsonl.gz")
    CutSet.from_cuts(cut.drop_recording() for cut in cuts).to_file(folder / "fbank.jsonl.gz")
    return folder


@pytest.fixture
def run(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["extract_features", *map(str, arguments)])
        main()

    return call


def audio(folder):
    return [folder / f"{name}.wav" for name in SECONDS]


def saved_model(folder, name):
    return LayerFeatures(folder / name, 0).encoder.cpu()


@torch.inference_mode()
def expected(model, x, layer):
    """Layer by its definition, for a batch of one."""
    if layer:
        return model(x, torch.tensor([x.size(1)]))[0][layer - 1][0]
    x, _ = model.project(x, torch.tensor([x.size(1)]))
    x = x + model.encoder.position(x, None)
    return (x if model.encoder.pre_norm else model.encoder.norm(x))[0]


@pytest.mark.parametrize("layer", [0, 1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_ark_of_audio(folder, tmp_path, run, name, layer, capsys):
    out = tmp_path / "with spaces"
    run("--model", folder / name, "--layer", layer, "--audio", *audio(folder), "--out", out)
    read = kaldiio.load_scp(str(out / "feats.scp"))
    assert list(read) == list(SECONDS)
    model = saved_model(folder, name)
    for key, path in zip(read, audio(folder)):
        x, _ = audio_input(path, MODELS[name].frontend)
        assert read[key].dtype == np.float32
        torch.testing.assert_close(torch.tensor(read[key]), expected(model, x, layer))
    frames = sum(len(array) for _, array in kaldiio.load_ark(str(out / "feats.ark")))
    shift = {"fbank": "0.04", "waveform": "0.02"}[name]
    assert capsys.readouterr().out.splitlines()[-2].split()[-6:] == ["3", "3", "0", str(frames), "32", shift]
    assert sorted(path.name for path in out.iterdir()) == ["feats.ark", "feats.scp"]


@pytest.mark.parametrize("name", MODELS)
def test_lhotse_cuts_and_their_parts(folder, tmp_path, run, name):
    shift = MODELS[name].frontend.frame_shift
    whole = CutSet.from_file(folder / "cuts.jsonl.gz").to_eager()
    late = whole["b"].truncate(offset=0.5, preserve_id=True)
    CutSet.from_cuts([late, whole["a"]]).to_file(tmp_path / "cuts.jsonl.gz")
    out = tmp_path / "out"
    run(
        *("--model", folder / name, "--layer", 2, "--cuts", tmp_path / "cuts.jsonl.gz"),
        *("--format", "lhotse", "--out", out),
    )
    cuts = list(CutSet.from_file(out / "cuts.jsonl.gz"))
    assert [cut.id for cut in cuts] == ["b", "a"]
    model = saved_model(folder, name)
    for cut, source in zip(cuts, [late, whole["a"]]):
        x = source.load_audio()
        x = make_extractor("fbank").extract(x, 16000)[None] if name == "fbank" else x
        assert cut.features_l2.frame_shift == shift
        features = cut.features_l2.load()
        torch.testing.assert_close(torch.from_numpy(features), expected(model, torch.from_numpy(x), 2))
        inside = round(cut.duration / shift)  # Lhotse leaves out a last frame that is mostly beyond the end
        assert abs(len(features) - inside) <= 1
        np.testing.assert_array_equal(cut.load_custom("features_l2"), features[:inside])
        part = cut.truncate(offset=5 * shift, duration=4 * shift)
        np.testing.assert_array_equal(part.load_custom("features_l2"), features[5:9])


def test_stored_fbank_is_read(folder, tmp_path, run):
    run("--model", folder / "fbank", "--layer", 1, "--cuts", folder / "fbank.jsonl.gz", "--out", tmp_path)
    read = kaldiio.load_scp(str(tmp_path / "feats.scp"))
    model = saved_model(folder, "fbank")
    for cut in CutSet.from_file(folder / "fbank.jsonl.gz"):
        x = torch.from_numpy(cut.load_features())[None]
        torch.testing.assert_close(torch.tensor(read[cut.id]), expected(model, x, 1))


def test_other_stored_features_are_not(folder, tmp_path, run):
    cuts = CutSet.from_file(folder / "cuts.jsonl.gz")
    with LilcomChunkyWriter(tmp_path / "mfcc.lca") as writer:
        mfcc = [cut.compute_and_store_features(make_extractor("mfcc"), writer) for cut in cuts]
    CutSet.from_cuts(mfcc).to_file(tmp_path / "mfcc.jsonl.gz")
    for source in (folder / "cuts.jsonl.gz", tmp_path / "mfcc.jsonl.gz"):
        run("--model", folder / "fbank", "--layer", 1, "--cuts", source, "--out", tmp_path / source.stem)
    first, second = (kaldiio.load_scp(str(tmp_path / name / "feats.scp")) for name in ("cuts.jsonl", "mfcc.jsonl"))
    for key in SECONDS:
        np.testing.assert_array_equal(first[key], second[key])


@pytest.fixture(scope="module")
def kmeans(folder) -> Path:
    config = KMeansConfig(clusters=6, features="layer", layer=2, checkpoint=str(folder / "fbank"))
    cuts = CutSet.from_file(folder / "fbank.jsonl.gz").to_eager()
    frames = sample_frames(cuts, frame_features(config), 1000, 0)
    save_kmeans(folder / "kmeans", *train_kmeans(frames, config), len(frames), config)
    return folder / "kmeans"


def test_tokens_are_nearest_centroids(folder, kmeans, tmp_path, run, capsys):
    centroids = np.load(kmeans / "centroids.npy")
    options = ["--model", folder / "fbank", "--layer", 2, "--cuts", folder / "fbank.jsonl.gz", "--out", tmp_path]
    run(*options)
    features = kaldiio.load_scp(str(tmp_path / "feats.scp"))
    nearest = {key: ((x[:, None] - centroids[None]) ** 2).sum(-1).argmin(1).tolist() for key, x in features.items()}
    assert len({token for tokens in nearest.values() for token in tokens}) > 2

    run(*options, "--kmeans", kmeans)
    lines = [line.split() for line in (tmp_path / "tokens.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == list(SECONDS)
    assert {line[0]: list(map(int, line[1:])) for line in lines} == nearest
    assert "clusters" in capsys.readouterr().out

    run(*options, "--kmeans", kmeans, "--format", "lhotse")
    for cut in CutSet.from_file(tmp_path / "cuts.jsonl.gz"):
        assert cut.tokens.load().tolist() == nearest[cut.id]
        assert cut.load_custom("tokens").tolist() == nearest[cut.id][: round(cut.duration / 0.04)]
        part = cut.truncate(offset=0.2, duration=0.4)
        assert part.load_custom("tokens").tolist() == nearest[cut.id][5:15]


@pytest.fixture
def bad(tmp_path) -> dict[str, str]:
    """Audio files that cannot be used, with what is said of each."""
    samples = {
        "short": np.full(100, 0.1),
        "nan": np.where(np.arange(16000) == 9000, np.nan, 0.1),
        "infinite": np.where(np.arange(16000) == 9000, np.inf, 0.1),
        "absurd": np.where(np.arange(16000) == 9000, 1e30, 0.1),  # a number, but its power is none
    }
    for name, values in samples.items():
        soundfile.write(tmp_path / f"{name}.wav", values, 16000, subtype="FLOAT")
    return dict.fromkeys(samples, "no numbers") | {"short": "0.00625 s, too short for a frame"}


@pytest.mark.parametrize("form", ["ark", "lhotse"])
@pytest.mark.parametrize("source", ["audio", "cuts"])
@pytest.mark.parametrize("name", MODELS)
def test_bad_audio_is_left_out_and_named(folder, tmp_path, run, capsys, bad, name, source, form):
    if name == "waveform":
        del bad["absurd"]
    paths = [folder / "a.wav", *(tmp_path / f"{name}.wav" for name in bad), folder / "b.wav"]
    if source == "cuts":
        CutSet.from_cuts(Recording.from_file(path).to_cut() for path in paths).to_file(tmp_path / "cuts.jsonl")
        paths = [tmp_path / "cuts.jsonl"]
    out = tmp_path / "out"
    with pytest.raises(UserError, match=f"{len(bad)} of {len(bad) + 2} utterances are left out, such as ") as error:
        run("--model", folder / name, "--layer", 1, "--format", form, "--out", out, f"--{source}", *paths)
    assert "\n" not in str(error.value)
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == len(bad)
    for key, said in bad.items():
        assert [line for line in lines if f"{key}.wav" in line and said in line], lines
    assert printed.out.splitlines()[-2].split()[-6:-3] == [str(len(bad) + 2), "2", str(len(bad))]
    if form == "ark":
        read = kaldiio.load_scp(str(out / "feats.scp"))
    else:
        read = {cut.id: cut.features_l1.load() for cut in CutSet.from_file(out / "cuts.jsonl.gz")}
    assert list(read) == ["a", "b"] and all(np.isfinite(read[key]).all() for key in read)


def test_nothing_is_written_where_all_is_bad(folder, tmp_path, run, bad):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"no utterance can be used: .*short.wav\) lasts 0.00625 s"):
        run("--model", folder / "waveform", "--layer", 1, "--out", out, "--audio", tmp_path / "short.wav")
    assert not list(out.iterdir())


def test_a_model_that_gives_nan_is_said(folder, tmp_path):
    model = SpeechEncoder(MODELS["fbank"])
    torch.nn.init.constant_(model.projection.bias, torch.nan)
    save_encoder(tmp_path / "nan", model, torch.zeros(32), MODELS["fbank"])
    features = frame_features(KMeansConfig(features="layer", layer=1, checkpoint=str(tmp_path / "nan")))
    with pytest.raises(UserError, match=r"^\S+ \(.*/c.wav\) has samples or features that are no numbers"):
        sample_frames(CutSet.from_file(folder / "cuts.jsonl.gz").to_eager(), features, 1000, 0)


def test_errors(folder, kmeans, tmp_path, run):
    wav, out = folder / "a.wav", tmp_path / "out"
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other/a.wav", np.full(1600, 0.1), 16000)
    soundfile.write(tmp_path / "slow.wav", np.full(800, 0.1), 8000)
    soundfile.write(tmp_path / "in two.wav", np.full(1600, 0.1), 16000)
    (tmp_path / "damaged.wav").write_bytes(b"no audio")
    CutSet.from_cuts([Recording.from_file(tmp_path / "slow.wav").to_cut()]).to_file(tmp_path / "slow.jsonl.gz")
    mono = Recording.from_file(wav).to_cut()
    CutSet.from_cuts([mono.pad(3.0)]).to_file(tmp_path / "mixed.jsonl.gz")
    gone = Recording.from_file(tmp_path / "other/a.wav")
    gone.sources[0].source = str(tmp_path / "gone.wav")
    CutSet.from_cuts([gone.to_cut().with_id("gone")]).to_file(tmp_path / "gone.jsonl.gz")
    soundfile.write(tmp_path / "touch x|", np.full(1600, 0.1), 16000, format="WAV")
    save_folder(tmp_path / "ctc", {}, {"kind": "ctc", "model": {}, "ctc": {}})
    save_kmeans(tmp_path / "mfcc", np.zeros((2, 39), np.float32), 0, 9, KMeansConfig())
    wide = KMeansConfig(features="layer", layer=1)
    save_kmeans(tmp_path / "wide", np.zeros((2, 48), np.float32), 0, 9, wide)

    model = ["--model", folder / "waveform", "--layer", 1]
    cases = [
        (["--model", folder / "waveform", "--layer", 4, "--audio", wav], "has 3 layers: layer 4 is not one of 0 to 3"),
        (["--model", folder / "waveform", "--layer", -1, "--audio", wav], "layer -1 is not one of 0 to 3"),
        (["--model", tmp_path / "none", "--layer", 1, "--audio", wav], "none/config.yaml is missing"),
        (["--model", tmp_path / "ctc", "--layer", 1, "--audio", wav], "ctc holds a fine-tuned model"),
        ([*model, "--audio", tmp_path / "none.wav"], "none.wav is missing"),
        ([*model, "--audio", tmp_path / "damaged.wav"], "damaged.wav: libsndfile cannot read the audio"),
        ([*model, "--audio", wav, tmp_path / "other/a.wav"], "two utterances are called 'a'"),
        ([*model, "--audio", tmp_path / "in two.wav"], "'in two' cannot be an id in Kaldi's files"),
        ([*model, "--cuts", tmp_path / "none.jsonl.gz"], "none.jsonl.gz is missing"),
        ([*model, "--cuts", tmp_path / "slow.jsonl.gz"], "8000 samples a second"),
        ([*model, "--cuts", tmp_path / "mixed.jsonl.gz"], "is a MixedCut"),
        ([*model, "--cuts", tmp_path / "gone.jsonl.gz"], "gone.wav"),
        ([*model, "--audio", tmp_path / "touch x|"], "would be run as a command"),
        ([*model, "--audio", wav, "--kmeans", tmp_path / "none"], "centroids.npy is missing"),
        ([*model, "--audio", wav, "--kmeans", kmeans], "was trained on layer 2, not on layer 1"),
        ([*model, "--audio", wav, "--kmeans", tmp_path / "mfcc"], "was trained on MFCC, not on layer 1"),
        ([*model, "--audio", wav, "--kmeans", tmp_path / "wide"], "on features of 48 dimensions, not 32"),
    ]
    for arguments, said in cases:
        for form in ("ark",) if "in two" in said else ("ark", "lhotse"):
            with pytest.raises(UserError) as error:
                run(*arguments, "--format", form, "--out", out)
            assert said in str(error.value) and "\n" not in str(error.value)
            assert not out.exists() or list(out.iterdir()) == []


def test_as_a_user_runs_it(folder, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mt4ssl.bin.extract_features",
            "--model",
            folder / "waveform",
            "--layer",
            "9",
            "--audio",
            folder / "a.wav",
            "--out",
            tmp_path,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ") and "has 3 layers" in done.stderr
