#!/usr/bin/env bash
# Measures pre-training on one GPU, on made-up data: benchmarks/out/gpu.json, which benchmarks/report.py takes up.
# Usage: benchmarks/gpu.sh [--out FILE.json] [--limit SECONDS] [--tiny]
# Where tools/setup.sh has not run, torch, numpy, PyYAML, tqdm, safetensors, jsonargparse of `python3` are enough.
set -euo pipefail
root=$(CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
  python=python3
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$python" "$root/benchmarks/gpu.py" --out "$root/benchmarks/out/gpu.json" "$@"
