"""Stage 4: the table of label quality."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from lhotse import load_manifest_lazy
from tqdm import tqdm

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.quality import label_quality
from mt4ssl.config import load_config
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kmeans", type=Path, required=True, help="folder that stage 3 wrote")
    parser.add_argument("--cuts", type=Path, required=True, help="labelled cuts, with alignments if there are any")
    alignments = "alignment to compare with: phone, of the corpus; token, of mt4ssl.bin.align"
    parser.add_argument("--alignment", choices=["phone", "token"], default="phone", help=alignments)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    config = load_config(KMeansConfig, args.kmeans / "config.yaml")
    fit = json.loads(require(args.kmeans / "fit.json", "made by stage 3 (kmeans)").read_text())
    cuts = load_manifest_lazy(require(args.cuts, "made by stage 4 (labels)"))
    cuts = tqdm(cuts, unit="cut", disable=None, desc="quality")
    quality = label_quality(cuts, config.name, config.clusters, args.alignment)
    result = {"mean_squared_distance": fit["mean_squared_distance"], **asdict(quality)}
    with atomic_path(args.out) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
    rows = [[key.replace("_", " "), f"{x:.4g}" if isinstance(x, float) else x] for key, x in result.items()]
    print_table(f"label quality of {args.kmeans} on {args.cuts.name}", ["measure", "value"], rows)


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
