"""Frame features of a layer of a pre-trained model, or their K-means tokens, as Kaldi's files or Lhotse cuts.

Layers are numbered as `hidden_states` of s3prl and transformers: 0 is the input of the first Transformer layer, L the
output of layer L (the last one after the final LayerNorm that pre-norm models have).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mt4ssl.clustering.features import LayerFeatures
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.storage import write_ark
from mt4ssl.errors import UserError, run_main
from mt4ssl.inference.extraction import Count, audio_cuts, check_cuts, extract, layer_labeller, write_cuts, write_tokens
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a pre-training, or of an encoder")
    parser.add_argument("--layer", type=int, required=True, help="0: input of the first layer; L: output of layer L")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cuts", type=Path, help="Lhotse cuts with audio, or with fbank for a model that reads it")
    source.add_argument("--audio", type=Path, nargs="+", help="files of 16 kHz; their names without suffix are the ids")
    parser.add_argument("--kmeans", type=Path, help="write tokens of this K-means, a folder that train_kmeans wrote")
    parser.add_argument(
        "--format",
        choices=["ark", "lhotse"],
        default="ark",
        help="ark (default): feats.ark and feats.scp, or tokens.txt; lhotse: cuts.jsonl.gz with the temporal array"
        " features_l<layer>, or tokens",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()

    features = LayerFeatures(args.model, args.layer)
    labeller = layer_labeller(args.kmeans, features) if args.kmeans else None
    count = Count()
    cuts = audio_cuts(args.audio, count) if args.audio else read_cuts(str(args.cuts))[0]
    check_cuts(cuts, kaldi=args.format == "ark")
    extracted = extract(cuts, labeller or features, count)
    frame_shift = features.frame_shift
    if args.format == "lhotse":
        write_cuts(args.out, "tokens" if labeller else f"features_l{args.layer}", frame_shift, extracted)
    elif labeller:
        write_tokens(args.out, extracted)
    else:
        write_ark(args.out / "feats", ((cut.id, frames) for cut, frames in extracted))
    kind, width, size = "features", "dim", features.architecture.encoder.dim
    if labeller:
        kind, width, size = "tokens", "clusters", len(labeller.centroids)
    rejected = len(count.left_out)
    total = count.utterances + rejected
    print_table(
        f"{kind} of layer {args.layer} of {args.model}",
        ["folder", "utterances in", "out", "rejected", "frames", width, "frame shift (s)"],
        [[args.out, total, count.utterances, rejected, count.frames, size, str(frame_shift)]],
    )
    if rejected:
        raise UserError(f"{rejected} of {total} utterances are left out, such as {count.left_out[0]}")


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
