"""Weights in: a fairseq checkpoint or a folder of transformers becomes a folder of this library.

MT4SSL, data2vec (audio), HuBERT, wav2vec 2.0, and of transformers WavLM and Wav2Vec2-Conformer, base or large.
Fine-tuning (stage 8), K-means on a layer (stage 3) and extract_features open the folder like one of a pre-training.
Nothing that a checkpoint names is run.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mt4ssl.errors import run_main
from mt4ssl.inference.folder import check_replaceable, save_encoder
from mt4ssl.interop.fairseq import import_fairseq
from mt4ssl.interop.huggingface import import_huggingface
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="fairseq checkpoint (a file) or folder of transformers")
    parser.add_argument("out", type=Path, help="folder to make")
    args = parser.parse_args()

    out = args.out.resolve()
    check_replaceable(out, args.checkpoint)
    read = import_huggingface if args.checkpoint.is_dir() else import_fairseq
    encoder, mask_embedding, architecture, left_out = read(args.checkpoint)
    save_encoder(out, encoder, mask_embedding, architecture)
    row = {
        "parameters (M)": sum(p.numel() for p in encoder.parameters()) / 1e6,
        "layers": architecture.encoder.layers,
        "dim": architecture.encoder.dim,
        "frame shift (s)": architecture.frontend.frame_shift,
        "normalises waveforms": "yes" if architecture.frontend.normalise else "no",
        "weights left out": ", ".join(sorted({name.split(".")[0] for name in left_out})) or "none",
    }
    print_table(f"{args.checkpoint} as {args.out}", list(row), [list(row.values())])


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
