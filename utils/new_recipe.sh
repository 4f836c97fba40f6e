#!/usr/bin/env bash
# Starts a recipe in any folder: run.sh, local/data.sh and README.md to edit, and the configs of egs/espeak.
# Usage: utils/new_recipe.sh DEST          (the corpus is called as the last part of DEST)
set -euo pipefail

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
  sed -n '1d; /^#/!q; s/^# //p' "$0"
  exit 1
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dest=$1
corpus=$(basename "$dest")
if [ -e "$dest" ]; then
  echo "error: $dest exists already" >&2
  exit 1
elif [[ ! $corpus =~ ^[A-Za-z0-9_.-]+$ ]]; then
  echo "error: '$corpus' names files of the corpus: use letters, digits, '_', '-' and '.'" >&2
  exit 1
fi

mkdir -p "$(dirname "$dest")"
cp -r "$root/utils/recipe" "$dest"
cp -r "$root/egs/espeak/conf" "$dest/conf"
sed -i "s/CORPUS/$corpus/g" "$dest/run.sh" "$dest/local/data.sh" "$dest/README.md"
cat >"$dest/path.sh" <<END
# shellcheck shell=bash
# Finds the repository and its environment. Sourced by run.sh.
export MT4SSL_ROOT=${root@Q}
export PATH=\$MT4SSL_ROOT/.venv/bin:\$MT4SSL_ROOT/utils:\$PATH
export PYTHONUNBUFFERED=1 PYTHONUTF8=1
unset PYTHONDONTWRITEBYTECODE # or every step compiles torch and Lhotse anew, which takes many seconds
END
printf 'download/\ndata/\nexp/\n' >"$dest/.gitignore"
echo "$dest is ready: edit run.sh, local/data.sh and conf/*.yaml there, then run it"
