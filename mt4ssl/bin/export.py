"""Stage 12: a model as a folder of safetensors and config that needs no recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.interop.folder import save_encoder, save_recogniser
from mt4ssl.models.pretrained import load_student, student_weights
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import load_ctc


def averaged_weights(folder: Path) -> Path:
    """The averaged checkpoint that stage 9 wrote last."""
    found = sorted(folder.glob("averaged-*.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"{folder} has no averaged-*.pt: made by stage 9 (emit)")
    return found[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True, help="folder of a pre-training or a fine-tuning")
    parser.add_argument("--lang", type=Path, help="lang dir of a fine-tuned model")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    if args.lang:
        model, config, architecture = load_ctc(args.exp, averaged_weights(args.exp))
        save_recogniser(args.out, model, architecture, config.ctc, args.lang)
    else:
        model, architecture = load_student(args.exp)
        save_encoder(args.out, model, student_weights(args.exp)[1], architecture)
    size = (args.out / "model.safetensors").stat().st_size / 2**20
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print_table(f"export of {args.exp}", ["folder", "parameters (M)", "MiB"], [[args.out, parameters, size]])


if __name__ == "__main__":
    run_main(main)
