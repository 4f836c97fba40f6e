# shellcheck shell=bash
# Finds the repository and its environment. Sourced by run.sh.
MT4SSL_ROOT=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export MT4SSL_ROOT
export PATH=$MT4SSL_ROOT/.venv/bin:$MT4SSL_ROOT/utils:$PATH
export PYTHONUNBUFFERED=1 PYTHONUTF8=1
unset PYTHONDONTWRITEBYTECODE # or every step compiles torch and Lhotse anew, which takes many seconds
