#!/usr/bin/env bash
# Makes the environment .venv and finds or installs k2; does nothing when both are as they should be.
# Needs Python 3.10 or newer and PyPI. Usage: tools/setup.sh
set -euo pipefail
CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/venv.sh
venv=$PWD/.venv
inputs=(pyproject.toml tools/constraints.txt tools/setup.sh)
export UV_PYTHON_DOWNLOADS=never

find_python() {
  local name
  for name in python3.11 python3; do
    if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "error: no Python 3.10 or newer with its venv module: install one (Debian: apt-get install python3-venv)" >&2
  return 1
}

exec {lock}<tools/setup.sh # of two runs at once, the second waits
flock "$lock"

state=$(venv_state "$venv" "${inputs[@]}")
if [ "$state" = broken ]; then
  python=$(find_python)
  echo "making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
if [ "$state" != intact ]; then
  rm -f "$venv/sealed" "$venv/no-k2"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt uv
  "$venv/bin/python" -m uv pip install --python "$venv/bin/python" --editable '.[dev,bench,onnx,vad,english,urls,cluster]' \
    --constraint tools/constraints.txt --build-constraint tools/constraints.txt
  seal_venv "$venv" "${inputs[@]}"
fi

if [ ! -e "$venv/no-k2" ] && ! tools/install_k2.sh; then # a search in vain is not repeated
  touch "$venv/no-k2"
fi
if [ -e "$venv/no-k2" ]; then
  echo "warning: no working k2, so stages 7 (graph) and 10 (decode) cannot run:" \
    "install Python 3.11, 3.10 or 3.9, then run tools/install_k2.sh" >&2
fi
