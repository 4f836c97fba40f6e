#!/usr/bin/env bash
# Finds or installs a k2 that works and records its Python in .k2python. In this order:
#   1. a k2 already in .venv
#   2. the wheel that k2's own index has for the torch of .venv, found by the install-k2 package
#   3. k2 1.23.4 from PyPI, in an environment of its own, .venv-k2 (Python 3.11, 3.10 or 3.9; torch 1.13.1)
# Usage: tools/install_k2.sh          (called by tools/setup.sh)
set -euo pipefail
CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/venv.sh
main_python=$PWD/.venv/bin/python
venv=$PWD/.venv-k2
inputs=(tools/constraints_k2.txt tools/install_k2.sh)
export UV_PYTHON_DOWNLOADS=never

uv() { "$main_python" -m uv "$@"; }

works() { "$1" tools/k2_works.py; }

record() {
  echo "$1" >.k2python.tmp
  mv .k2python.tmp .k2python
  rm -f .venv/no-k2
}

recorded_is_intact() {
  case $(cat .k2python 2>/dev/null) in
    "$main_python") compgen -G '.venv/lib/python*/site-packages/k2' >/dev/null ;;
    "$venv/bin/python") [ "$(venv_state "$venv" "${inputs[@]}")" = intact ] ;;
    *) false ;;
  esac
}

# Nothing but k2 itself is added to .venv, and it is taken out again when it does not work.
install_for_installed_torch() {
  local torch url
  torch=$(uv pip show --python "$main_python" torch 2>/dev/null | sed -n 's/^Version: \([0-9.]*\).*/\1/p')
  uv pip install --quiet --python "$main_python" --no-deps --constraint tools/constraints.txt install-k2
  url=$(timeout 10 "$main_python" -m install_k2.install_k2 --dry-run 2>/dev/null |
    grep -o 'https*://[^ ]*torch[^ ]*\.whl' | grep -F "torch$torch-" | tail -n 1) || return 1
  uv pip install --python "$main_python" --no-deps "$url" && works "$main_python" && return
  uv pip uninstall --quiet --python "$main_python" k2
  return 1
}

# Prints the interpreters of Python $1 on PATH, under a pyenv root, and known to uv.
pythons() {
  command -v "python$1" || true
  find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -path "*/bin/python$1" 2>/dev/null || true
  uv python find "$1" 2>/dev/null || true
}

# All wheels of k2 1.23.4 claim to fit every Python, so the one for Python $1 is taken by its file name.
wheel_for() {
  "$main_python" -m pip index versions k2 -vv 2>/dev/null |
    grep -o "[a-z]*://[^ ]*/k2-1\.23\.4-py${1/./\\.}-none-any\.whl" | head -n 1
}

# install_in_own_environment PYTHON VERSION
install_in_own_environment() {
  local url
  "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" 2>/dev/null || return 1
  url=$(wheel_for "$2") || return 1
  rm -rf "$venv"
  uv venv --quiet --python "$1" "$venv" &&
    uv pip install --python "$venv/bin/python" --constraint tools/constraints_k2.txt \
      "k2 @ $url" torch numpy kaldialign kaldiio pytest tqdm &&
    works "$venv/bin/python"
}

if recorded_is_intact; then
  exit
fi
rm -f .k2python
if works "$main_python" 2>/dev/null || install_for_installed_torch; then
  record "$main_python"
  exit
fi
for version in 3.11 3.10 3.9; do
  while read -r python; do
    if install_in_own_environment "$python" "$version"; then
      seal_venv "$venv" "${inputs[@]}"
      record "$venv/bin/python"
      exit
    fi
  done < <(pythons "$version")
done
rm -rf "$venv"
echo "no k2: $main_python has none, k2's index none for its torch, and no Python 3.11, 3.10 or 3.9 runs PyPI's" >&2
exit 1
