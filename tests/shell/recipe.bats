#!/usr/bin/env bats
# shellcheck disable=SC2164
# run.sh and utils/new_recipe.sh: what a user sees before anything heavy runs.

setup() {
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
}

@test "--help lists the stages and every option" {
  run "$root/egs/espeak/run.sh" --help
  [ "$status" -eq 0 ]
  [[ $output == *"3 kmeans"*"--stop-stage "*"last stage to run (default: 12)"*"--km-iter "* ]]
}

@test "an unknown option, a wrong value, and an argument that is none are one line each" {
  run "$root/egs/espeak/run.sh" --stop-satge 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: run.sh: unknown option --stop-satge; did you mean --stop-stage? (--help lists all)" ]
  run "$root/egs/espeak/run.sh" --stage three
  [ "$status" -eq 1 ]
  [ "$output" = "error: --stage, --stop-stage, --nj, --ngpu, --km-iter and --avg take whole numbers, not 'three'" ]
  run "$root/egs/espeak/run.sh" 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: run.sh takes options only, not '3' (--help lists them)" ]
}

@test "a stage without what it reads is one line that names the stage that makes it" {
  run "$root/egs/espeak/run.sh" --stage 5 --stop-stage 5 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [ "$status" -eq 1 ]
  [ "$output" = "error: stage 5 (pretrain): $PWD/no data/kmeans/iter1 is missing; it is made by stage 4 (labels): run with --stage 4" ]
  run "$root/egs/espeak/run.sh" --stage 10 --stop-stage 10 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [[ $output == *"is missing; it is made by stage 9 (emit): run with --stage 9" ]]
}

@test "an environment that is not there is one line" {
  cp -r "$root/utils" "$root/egs" .
  run egs/espeak/run.sh --stage 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: there is no environment yet: run $PWD/tools/setup.sh" ]
}

@test "a new recipe, in a path with spaces, finds the repository and asks for its data" {
  run "$root/utils/new_recipe.sh" "my recipes/yesno"
  [ "$status" -eq 0 ]
  [ -e "my recipes/yesno/conf/pretrain.yaml" ]
  run "my recipes/yesno/run.sh" --stage 0
  [ "$status" -eq 1 ]
  [ "${lines[0]}" = "stage 0 (data): yesno (new)" ]
  [[ ${lines[1]} == "error: local/data.sh is still to be written"* ]]
  run "$root/utils/new_recipe.sh" "my recipes/yesno"
  [ "$status" -eq 1 ]
  [ "$output" = "error: my recipes/yesno exists already" ]
  run "$root/utils/new_recipe.sh" "my recipes"
  [ "$status" -eq 1 ]
}

@test "stage 10 takes nj processes on the CPU, and one with --device" {
  options=(--dry-run true --stage 10 --stop-stage 10 --nj 3 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp")
  run "$root/egs/espeak/run.sh" "${options[@]}"
  [ "$status" -eq 0 ]
  [[ $output == *"mt4ssl.bin.decode"*"'--nj' '3'"* ]]
  for device in "--device cuda" "--device=cuda"; do
    run "$root/egs/espeak/run.sh" "${options[@]}" --decode-args "$device"
    [ "$status" -eq 0 ]
    [[ $output == *"mt4ssl.bin.decode"*"'${device/ /"' '"}'"* ]]
    [[ $output != *"'--nj'"* ]]
  done
}
