#!/usr/bin/env bash
# Installs the package as a stranger does, into a fresh environment with the oldest or the newest versions that
# pyproject.toml allows, and uses it there. Needs PyPI, and 7 GB in the folder for temporary files until it ends.
# Usage: tests/install.sh oldest|newest
set -euo pipefail
case ${1:-} in
  oldest) resolution=lowest-direct ;; # every package that is named in pyproject.toml at its lower bound
  newest) resolution=highest ;;
  *) echo "error: say which versions: tests/install.sh oldest, or tests/install.sh newest" >&2 && exit 1 ;;
esac
root=$(CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir source # a build in the checkout would leave its files there
cp -r "$root"/{mt4ssl,pyproject.toml,setup.py,README.md,LICENSE} source
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check uv
tools/bin/uv venv --quiet --python python3 environment # without the setuptools that Python's venv brings
tools/bin/uv pip install --quiet --python environment --resolution "$resolution" ./source
rm -r source
environment/bin/python "$root/tests/use_installed.py"
echo "tests/install.sh $1: passed (in $SECONDS s)"
