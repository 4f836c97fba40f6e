#!/usr/bin/env bats
# tools/: the environment that stands, and how a broken one is noticed.
# shellcheck disable=SC2164

setup() {
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
}

@test "setup.sh does nothing when nothing changed" {
  before=$(stat -c %Y "$root/.venv/sealed")
  run "$root/tools/setup.sh"
  [ "$status" -eq 0 ]
  [ "$(stat -c %Y "$root/.venv/sealed")" = "$before" ]
  [ -z "$output" ] || [[ $output == "warning: no working k2"* ]]
}

@test "the recorded k2 works" {
  [ -e "$root/.k2python" ] || skip "no k2 here"
  run "$root/utils/k2_python.sh" "$root/tools/k2_works.py"
  [ "$status" -eq 0 ]
  [[ $output == "k2 "* ]]
}

@test "without k2 its wrapper says what to do, in one line" {
  mkdir -p "a repo/utils"
  cp "$root/utils/k2_python.sh" "a repo/utils"
  run "a repo/utils/k2_python.sh" -c 1
  [ "$status" -eq 1 ]
  [ "$output" = "error: no k2 here: run $PWD/a repo/tools/install_k2.sh" ]
}

@test "check_env.sh finds nothing missing" {
  [ -e "$root/.k2python" ] || skip "no k2 here"
  run "$root/tools/check_env.sh"
  [ "$status" -eq 0 ]
  [[ $output == *torch*2.11.0* ]]
}

@test "without Python 3.10 setup.sh says so in one line" {
  mkdir -p bin "a repo"
  cp -r "$root/tools" "a repo"
  touch "a repo/setup.py" "a repo/pyproject.toml"
  for tool in bash cat dirname flock sed sha256sum rm; do ln -s "$(command -v "$tool")" bin; done
  PATH=$PWD/bin run "a repo/tools/setup.sh"
  [ "$status" -eq 1 ]
  [[ $output == "error: no Python 3.10 or newer with its venv module: "* ]]
}

@test "an environment is intact until something it was made from or holds is changed" {
  . "$root/tools/venv.sh"
  echo torch >input
  "$root/.venv/bin/python" -m venv --without-pip "an env"
  env=$PWD/"an env"
  packages=$(echo "$env"/lib/python*/site-packages)
  mkdir "$packages/torch" "$packages/torch-2.dist-info"

  [ "$(venv_state "$env" input)" = broken ] # half made: not sealed yet
  seal_venv "$env" input
  [ "$(venv_state "$env" input)" = intact ]
  mkdir "$packages/added_by_hand"
  [ "$(venv_state "$env" input)" = intact ]
  echo lhotse >>input
  [ "$(venv_state "$env" input)" = outdated ]
  echo torch >input
  rmdir "$packages/torch"
  [ "$(venv_state "$env" input)" = broken ]
  mkdir "$packages/torch"
  mv "$env" moved
  [ "$(venv_state "$PWD/moved" input)" = broken ]
  mv moved "$env"
  rm "$env/bin/python"
  [ "$(venv_state "$env" input)" = broken ]
}
