#!/usr/bin/env bats
# Steps that run at the same time: `step --beside` of utils/stage.sh.
# shellcheck disable=SC2164

setup() {
  mkdir "$BATS_TEST_TMPDIR/a recipe"
  cd "$BATS_TEST_TMPDIR/a recipe"
  export UTILS=$BATS_TEST_DIRNAME/../../utils
}

# Two steps beside each other, of which each ends only once the other has begun, and the threads that they are told of.
beside() {
  cat >wait.sh <<'END_OF_SCRIPT'
echo "$OMP_NUM_THREADS" >"threads.$1"
for _ in $(seq 100); do
  [ ! -e "threads.$2" ] || break
  sleep 0.1
done
[ -e "threads.$2" ] && [ ! -e "fail.$1" ]
mkdir -p exp
echo done >"exp/$1"
END_OF_SCRIPT
  cat >recipe.sh <<'END_OF_SCRIPT'
set -euo pipefail
data_dir=data exp_dir=exp stage=1 stop_stage=1
. "$UTILS/stage.sh"
stage 1 train
step a --out exp/a --beside 3 -- bash -e wait.sh a b
step b --out exp/b --beside 3 -- bash -e wait.sh b a
wait_for_steps
end_stages
END_OF_SCRIPT
  run bash recipe.sh
}

@test "steps beside each other run at the same time, on as many threads as they get; then they are up to date" {
  beside
  [ "$status" -eq 0 ]
  [ "$(cat threads.a threads.b)" = $'3\n3' ]
  [ "$(cat exp/a exp/b)" = $'done\ndone' ]
  [ -s exp/log/stage01_train.a.log ] && [ -s exp/log/stage01_train.b.log ]
  longest=$(cat exp/done/* | awk '$1 == "beside" { print $2 }' | sort -n | tail -n 1)
  [ "$(cat exp/log/durations.tsv)" = $'1\ttrain\t'"$longest" ]
  run bash recipe.sh
  [ "$status" -eq 0 ]
  [ "$output" = "stage 1 (train): up to date" ]
}

@test "of two steps beside each other, the one that fails is named, and the other is done" {
  touch fail.b
  beside
  [ "$status" -eq 1 ]
  [[ "${lines[-1]}" = "error: stage 1 (train): not done: b; see above" ]]
  rm fail.b
  run bash recipe.sh
  [ "$status" -eq 0 ]
  [[ "$output" == *"b (goes on where it was interrupted)"* ]]
  [[ "$output" != *"stage 1 (train): a ("* ]]
}

# Two groups of steps, one after the other, and another part of their stage; $1 is the model, whose steps take $2 seconds.
groups() {
  cat >recipe.sh <<'END_OF_SCRIPT'
set -euo pipefail
data_dir=data exp_dir=exp stage=1 stop_stage=1
. "$UTILS/stage.sh"
stage 1 emit
for split in dev test; do
  step "$1.$split" --out "exp/$1.$split" --beside 1 -- bash -c "sleep $2 && touch exp/$1.$split"
  step "other.$1.$split" --out "exp/other.$1.$split" --beside 1 -- touch "exp/other.$1.$split"
  wait_for_steps
done
stage 1 emit
step "$1.score" --out "exp/$1.score" -- bash -c "sleep $2 && touch exp/$1.score"
end_stages
END_OF_SCRIPT
  bash recipe.sh "$1" "$2"
  noted=$(cut -f 3 exp/log/durations.tsv)
}

@test "groups add up, of a stage in parts too; steps of other runs do not" {
  groups long 2
  [ "$noted" -ge 6 ]
  groups short 0.5
  [ "$noted" -le 3 ]
  rm exp/short.score
  groups short 0.5
  [ "$noted" -le 3 ]
  rm exp/long.dev # what is up to date counts too
  groups long 2
  [ "$noted" -ge 6 ]
}
