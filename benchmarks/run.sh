#!/usr/bin/env bash
# Measures this library against its peers, one after the other on the same work, and writes benchmarks/RESULTS.md.
# Usage: benchmarks/run.sh [BENCH...]          (all of them, or some: pretraining kmeans features …)
set -euo pipefail
CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
python=$PWD/.venv/bin/python
benches=("$@")
if [ $# -eq 0 ]; then
  benches=(startup stage1 growth features kmeans g2p decoding curves students pretraining)
fi

for bench in "${benches[@]}"; do
  if [ ! -e "benchmarks/$bench.py" ]; then
    echo "error: there is no bench '$bench' (benchmarks/*.py)" >&2
    exit 1
  fi
done
for bench in "${benches[@]}"; do
  echo "== $bench"
  begin=$SECONDS
  "$python" "benchmarks/$bench.py" --out "benchmarks/out/$bench.json"
  echo "== $bench took $((SECONDS - begin)) s"
done
"$python" benchmarks/report.py
