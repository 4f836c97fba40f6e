# shellcheck shell=bash
# An environment is trusted only while it is as it was when it was sealed. Sourced by setup.sh and install_k2.sh.

# venv_content DIR: what is installed there, one top-level name of site-packages a line
venv_content() {
  find "$1"/lib/python*/site-packages -mindepth 1 -maxdepth 1 ! -name __pycache__ -printf '%f\n' | LC_ALL=C sort
}

# seal_venv DIR INPUT...: record where the environment stands, the files it was made from and what it holds
seal_venv() {
  local dir=$1
  shift
  { echo "$dir" && cat "$@" | sha256sum && venv_content "$dir"; } >"$dir/sealed.tmp"
  mv "$dir/sealed.tmp" "$dir/sealed"
}

# venv_state DIR INPUT...: prints "intact", "outdated" (INPUT changed) or "broken" (moved, half made, something missing)
venv_state() {
  local dir=$1 seal=$1/sealed
  shift
  if [ ! -x "$dir/bin/python" ] || [ ! -f "$seal" ] || [ "$(sed -n 1p "$seal")" != "$dir" ] ||
    [ -n "$(LC_ALL=C comm -23 <(sed 1,2d "$seal") <(venv_content "$dir"))" ]; then
    echo broken
  elif [ "$(sed -n 2p "$seal")" != "$(cat "$@" | sha256sum)" ]; then
    echo outdated
  else
    echo intact
  fi
}
