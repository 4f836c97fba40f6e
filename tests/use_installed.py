"""Use the installed package as a stranger does: outside of the checkout, from the command line. See install.sh."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import mt4ssl

assert "torch" not in sys.modules, "`import mt4ssl` alone must not take the seconds that torch does"
assert mt4ssl.__version__ == version("mt4ssl")
assert "site-packages" in mt4ssl.__file__, f"{mt4ssl.__file__} is the checkout, not what was installed"
assert Path(mt4ssl.__file__).with_name("py.typed").exists()

import kaldiio  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import torch  # noqa: E402

from mt4ssl.inference.folder import save_encoder  # noqa: E402
from mt4ssl.models.encoder import EncoderConfig  # noqa: E402
from mt4ssl.models.frontend import FrontendConfig  # noqa: E402
from mt4ssl.models.speech import ModelConfig, SpeechEncoder  # noqa: E402

ENCODER = EncoderConfig(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4)
MODULE = [sys.executable, "-m", "mt4ssl.bin.extract_features"]
COMMAND = [Path(sys.executable).with_name("mt4ssl-extract-features")]
# Front-end, how the verb is called, and the first numbers of frame 20, made with the versions of tools/constraints.txt.
CASES = [
    (FrontendConfig("fbank", 24, [3, 3], [2, 2]), MODULE, [-0.25512, -0.39757, -0.44529, 0.85181]),
    (FrontendConfig("waveform", 24), COMMAND, [0.20534, -0.02828, -0.42113, 0.06994]),
]


def save_random_encoder(folder: Path, frontend: FrontendConfig) -> None:
    """Write an encoder whose weights are the same with every version of torch."""
    architecture = ModelConfig(frontend, ENCODER)
    encoder = SpeechEncoder(architecture)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape) * 0.3))
    save_encoder(folder, encoder, torch.zeros(ENCODER.dim), architecture)


time = np.arange(16000) / 16000  # s
soundfile.write("tone.wav", 0.3 * np.sin(2 * np.pi * 440 * time * (1 + time)), 16000)
for frontend, command, expected in CASES:
    save_random_encoder(Path("encoder", frontend.type), frontend)
    out = Path("features", frontend.type)
    options = ["--model", f"encoder/{frontend.type}", "--layer", "2", "--audio", "tone.wav", "--out", out]
    subprocess.run([*command, *options], check=True)
    features = kaldiio.load_scp(f"{out}/feats.scp")["tone"]
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[20, :4], expected, rtol=0, atol=1e-4)

print(f"torch {version('torch')}, torchaudio {version('torchaudio')}, numpy {version('numpy')}: passed")
