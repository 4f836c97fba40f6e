#!/usr/bin/env bash
# Labels of every split. Usage: make_labels.sh KMEANS FEATURES CUTS OUT SPLIT...
# FEATURES, CUTS and OUT are manifests without their ending _SPLIT.jsonl.gz.
set -euo pipefail
for split in "${@:5}"; do
  python -m mt4ssl.bin.make_labels --kmeans "$1" --features "$2_$split.jsonl.gz" --cuts "$3_$split.jsonl.gz" \
    --out "$4_$split.jsonl.gz"
done
