"""What each layer of a pre-trained model tells of phones, before any fine-tuning.

Per layer: the accuracy of a linear phone probe on the frames of every second speaker, when it has learned from those of
the others; ABX errors of phones, in any context, within speakers and across them; PNMI of 100 K-means clusters; the
effective rank. Of many cuts, 30000 frames are drawn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from mt4ssl.clustering.features import AllLayers
from mt4ssl.clustering.probe import collect_frames, layer_qualities
from mt4ssl.data.loading import read_cuts
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path
from mt4ssl.scoring.report import LAYER_HEADER, layer_rows, plot_layers
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a pre-training, or of an encoder")
    parser.add_argument("--cuts", type=Path, required=True, help="cuts with alignments, of two speakers or more")
    alignments = "phones to tell apart: phone, of the corpus or of mt4ssl.bin.align; token, of mt4ssl.bin.align"
    parser.add_argument("--alignment", choices=["phone", "token"], default="phone", help=alignments)
    parser.add_argument("--out", type=Path, required=True, help="folder to write: probe.json, layers.png")
    args = parser.parse_args()

    frames = collect_frames(read_cuts(str(args.cuts))[0], AllLayers(args.model), args.alignment)
    layers = [asdict(quality) for quality in layer_qualities(frames)]
    count = {name: len(np.unique(getattr(frames, name))) for name in ("speakers", "phones")}
    result = {"model": str(args.model), "cuts": str(args.cuts), "frames": len(frames.phones), **count, "layers": layers}
    with atomic_path(args.out / "probe.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
    plot_layers(layers, str(args.model), args.out / "layers.png")
    print_table(f"layers of {args.model} on {args.cuts.name}", LAYER_HEADER, layer_rows(layers))


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
