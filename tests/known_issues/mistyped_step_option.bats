#!/usr/bin/env bats
# `step --inputs FILE` was accepted, and the dependency forgotten.
# shellcheck disable=SC2164

setup() {
  cd "$BATS_TEST_TMPDIR"
  export UTILS=$BATS_TEST_DIRNAME/../../utils
}

@test "an option that step does not know is one line, wherever it stands" {
  for options in "--inputs a.txt --out exp/b" "--conf c.yaml --inputs a.txt --out exp/b" "a.txt --out exp/b"; do
    cat >recipe.sh <<END
set -euo pipefail
data_dir=data exp_dir=exp stage=1 stop_stage=1
. "\$UTILS/stage.sh"
stage 1 features
step dev $options -- touch exp/b
END
    run bash recipe.sh
    [ "$status" -eq 1 ]
    [[ $output == "error: stage 1 (features): dev: step takes --conf, --in, --dev, --out, --nj, --ngpu and --beside, not '"*"'" ]]
    [ ! -e exp/b ]
  done
}
