#!/usr/bin/env bash
# Starts a recipe in any folder, with three files to edit: conf/corpus.yaml, which says where the speech is, run.sh and
# README.md. The corpus is called as the last part of DEST.
# Usage: utils/new_recipe.sh DEST [--size tiny|small|base]
#   tiny    up to about an hour of speech, minutes on a CPU
#   small   about 10 to 200 hours, hours on one GPU (the default)
#   base    200 hours and more, days on several GPUs: the paper's setting
set -euo pipefail

usage() {
  sed -n '1d; /^#/!q; s/^# //p' "$0"
  exit 1
}

dest='' size=small
while [ $# -gt 0 ]; do
  case $1 in
    --size)
      [ $# -gt 1 ] || usage
      size=$2
      shift
      ;;
    --size=*) size=${1#*=} ;;
    -*) usage ;;
    *)
      [ -z "$dest" ] || usage
      dest=$1
      ;;
  esac
  shift
done
[ -n "$dest" ] || usage
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
template=$root/utils/recipe
corpus=$(basename "$dest")
if [[ ! $size =~ ^(tiny|small|base)$ ]]; then
  echo "error: --size is tiny, small or base, not '$size'" >&2
  exit 1
elif [ -e "$dest" ]; then
  echo "error: $dest exists already" >&2
  exit 1
elif [[ ! $corpus =~ ^[A-Za-z0-9_.-]+$ ]]; then
  echo "error: '$corpus' names files of the corpus: use letters, digits, '_', '-' and '.'" >&2
  exit 1
fi

mkdir -p "$dest/conf"
cp "$template/run.sh" "$template/README.md" "$dest"
cp "$template/conf/corpus.yaml" "$template/conf/$size"/*.yaml "$dest/conf"
sed -i "s/CORPUS/$corpus/g; s/SIZE/$size/g" "$dest/run.sh" "$dest/README.md" "$dest/conf/corpus.yaml"
cat >"$dest/path.sh" <<END
# shellcheck shell=bash
# Finds the repository and its environment. Sourced by run.sh.
export MT4SSL_ROOT=${root@Q}
export PATH=\$MT4SSL_ROOT/.venv/bin:\$MT4SSL_ROOT/utils:\$PATH
export PYTHONUNBUFFERED=1 PYTHONUTF8=1
unset PYTHONDONTWRITEBYTECODE # or every step compiles torch and Lhotse anew, which takes many seconds
END
printf 'download/\ndata/\nexp/\n' >"$dest/.gitignore"
echo "$dest is ready: say in conf/corpus.yaml where the speech is, and in run.sh which splits to use, then run it"
