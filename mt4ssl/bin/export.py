"""Stage 12 and weights out: a model as a folder that needs no recipe.

`mt4ssl` is this library's own: safetensors, config and tokens. `transformers` is opened by AutoModel, and by
pipeline("automatic-speech-recognition") if the model is fine-tuned; only waveform front-ends exist there. `onnx` takes
waveforms of any length, whatever the front-end. Each folder has a model card.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mt4ssl.errors import run_main
from mt4ssl.inference.export import export_model
from mt4ssl.inference.folder import check_replaceable
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a training, or of an exported model")
    parser.add_argument("--to", choices=("mt4ssl", "transformers", "onnx"), default="mt4ssl", help="form to write")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    args = parser.parse_args()

    out = args.out.resolve()  # of `.` too the name is known
    check_replaceable(out, args.model)
    model = export_model(args.model, args.to, out)
    size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    header = ["folder", "as", "parameters (M)", "MiB"]
    print_table(f"export of {args.model}", header, [[args.out, args.to, parameters, size]])


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
