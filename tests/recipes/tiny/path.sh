# shellcheck shell=bash
# Sourced by run.sh. The test that copies this recipe sets MT4SSL_ROOT.
export PATH=${MT4SSL_ROOT:?}/.venv/bin:$MT4SSL_ROOT/utils:$PATH
export PYTHONUNBUFFERED=1 PYTHONUTF8=1
unset PYTHONDONTWRITEBYTECODE # or every step compiles torch and Lhotse anew, which takes many seconds
