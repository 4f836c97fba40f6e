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
  [ "$output" = "error: --stage and --stop-stage take whole numbers, not 'three'" ]
  for option in --nj --ngpu --km-iter --avg; do
    run "$root/egs/espeak/run.sh" "$option" 0
    [ "$status" -eq 1 ]
    [ "$output" = "error: --nj, --ngpu, --km-iter and --avg take whole numbers from 1, not '0'" ]
  done
  run "$root/egs/mini_librispeech/run.sh" --labelled 2h --finetune-config conf/finetune_1h.yaml
  [ "$status" -eq 1 ]
  [ "$output" = "error: there is no labelled set train_2h: it is one of train_1h, train_all" ]
  run "$root/egs/espeak/run.sh" 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: run.sh takes options only, not '3' (--help lists them)" ]
}

@test "a config or a model that is not there is one line, before anything starts" {
  for option in --pretrain-config --finetune-config; do
    run "$root/egs/espeak/run.sh" "$option" /nowhere/a.yaml
    [ "$status" -eq 1 ]
    [ "$output" = "error: there is no file /nowhere/a.yaml (paths are relative to $root/egs/espeak)" ]
  done
  run "$root/egs/espeak/run.sh" --pretrained nowhere
  [ "$output" = "error: there is no file nowhere/config.yaml (paths are relative to $root/egs/espeak)" ]
}

@test "a model from elsewhere takes the place of stages 3 to 5, and names the fine-tuned one" {
  mkdir hubert
  echo "kind: encoder" >hubert/config.yaml
  run "$root/egs/espeak/run.sh" --dry-run true --stage 3 --stop-stage 10 --pretrained "$PWD/hubert" --exp-dir "$PWD/exp"
  [[ $output != *"stage 5 (pretrain)"* ]]
  [[ $output == *"stage 8 (finetune): hubert"*"'--pretrained' '$PWD/hubert'"* ]]
}

@test "what distinguishes scratch comes after --finetune-args" {
  run "$root/egs/espeak/run.sh" --dry-run true --stage 8 --stop-stage 8 --finetune-args "--optim.lr 1e-3" \
    --scratch-args "--optim.lr 2e-3" --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [[ $output == *"'--optim.lr' '1e-3' '--from_scratch' 'true' '--optim.lr' '2e-3'"* ]]
}

@test "a stage without what it reads is one line that names the stage that makes it" {
  run "$root/egs/espeak/run.sh" --stage 5 --stop-stage 5 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [ "$status" -eq 1 ]
  [ "$output" = "error: stage 5 (pretrain): $PWD/no data/kmeans/iter1/espeak_cuts_train.jsonl.gz is missing; it is made by stage 4 (labels): run with --stage 4" ]
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
