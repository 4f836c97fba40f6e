#!/usr/bin/env bash
# Shows what is installed and what should be, which Python runs k2, and whether there is a GPU. Usage: tools/check_env.sh
set -euo pipefail
CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/python ]; then
  echo "error: there is no environment: run tools/setup.sh" >&2
  exit 1
fi
k2=none
if [ -e .k2python ]; then k2=$(utils/k2_python.sh tools/k2_works.py 2>/dev/null || echo broken); fi
PYTHONPATH=$PWD .venv/bin/python tools/check_env.py "$k2" "$(cat .k2python 2>/dev/null)"
