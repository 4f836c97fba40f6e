#!/usr/bin/env bats
# --pretrained models/scratchpad was fine-tuned from scratch, since its name begins like that of the baseline.
# shellcheck disable=SC2164

setup() {
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
}

@test "a model from elsewhere keeps its weights, whatever its name" {
  mkdir scratchpad
  echo "model: {frontend: {type: fbank, dim: 16, kernels: [15], strides: [2]}, encoder: {layers: 2, dim: 16, ffn_dim: 16, heads: 1}}" >scratchpad/config.yaml
  run "$root/egs/espeak/run.sh" --dry-run true --stage 8 --stop-stage 8 --pretrained "$PWD/scratchpad" --scratch false \
    --exp-dir "$PWD/exp"
  [ "$status" -eq 0 ]
  [[ $output == *"'--pretrained' '$PWD/scratchpad'"* && $output != *from-scratch* ]]
}

@test "two models of the same name are refused" {
  mkdir scratch
  echo "kind: encoder" >scratch/config.yaml
  run "$root/egs/espeak/run.sh" --dry-run true --stage 8 --pretrained "$PWD/scratch"
  [ "$status" -eq 1 ]
  [ "$output" = "error: --pretrained $PWD/scratch: the model without pre-training has that name: rename it, or use --scratch false" ]
}
