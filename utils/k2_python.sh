#!/usr/bin/env bash
# Runs the Python that has k2, which tools/install_k2.sh found. Usage: k2_python.sh -m mt4ssl.bin.decode …
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if ! [ -e "$root/.k2python" ]; then
  echo "error: no k2 here: run $root/tools/install_k2.sh" >&2
  exit 1
fi
PYTHONPATH=$root exec "$(<"$root/.k2python")" "$@"
