"""Stage 2: the cuts of a subset, with the features already stored for the whole."""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse import CutSet, load_manifest_lazy

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=Path, required=True, help="cuts of the whole")
    parser.add_argument("--supervisions", type=Path, required=True, help="manifest that lists the subset")
    parser.add_argument("--out", type=Path, required=True, help="cuts of the subset to write")
    args = parser.parse_args()

    cuts = load_manifest_lazy(require(args.cuts, "made by stage 2 (features)"))
    wanted = {s.id for s in load_manifest_lazy(require(args.supervisions, "made by stage 1 (manifests)"))}
    subset = [cut for cut in cuts if cut.id in wanted]
    if len(subset) != len(wanted):
        missing = sorted(wanted - {cut.id for cut in subset})
        raise UserError(
            f"{args.cuts} lacks {len(missing)} utterances of {args.supervisions}, the first is {missing[0]}"
        )
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(subset).to_file(temporary)
    minutes = sum(cut.duration for cut in subset) / 60
    print_table(f"subset {args.out.name}", ["of", "utterances", "minutes"], [[args.cuts.name, len(subset), minutes]])


if __name__ == "__main__":
    run_main(main)
