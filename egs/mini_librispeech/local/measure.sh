#!/usr/bin/env bash
# The measurement of RESULTS.md: pre-trains every system with every seed, fine-tunes it on an hour and on all of train,
# and scores it. Each is a run of run.sh in a folder of its own, exp/measure/SYSTEM-SEED, on the data/ and labels that are
# there; `local/measurement.py add FOLDER` puts what it made into results/.
# Usage, after `./run.sh --stop-stage 7`:  local/measure.sh [OPTIONS] [-- OPTIONS OF run.sh]
#
#   local/measure.sh                                         everything
#   local/measure.sh --systems online --seeds "0 1 2 3"      more seeds of one system
#   local/measure.sh -- --dl-dir DIR --dry-run true          what it would do
set -euo pipefail

systems="offline online mt4ssl"  # targets: K-means labels, the EMA teacher, or both
seeds="0 1"  # of pre-training and fine-tuning

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../path.sh
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

for seed in $seeds; do
  for system in $systems; do
    if [ "$system" = mt4ssl ]; then
      config=conf/pretrain.yaml scratch=true # the model without pre-training is the same for all systems
    else
      config=conf/pretrain.yaml,conf/$system.yaml scratch=false
    fi
    run=(./run.sh --exp-dir "exp/measure/$system-$seed" --pretrain-config "$config")
    "${run[@]}" --stage 5 --stop-stage 5 --pretrain-args "--loop.seed $seed" "$@"
    for labelled in 1h all; do
      args="--loop.seed $seed"
      if [ "$labelled" = all ]; then args+=" --loop.updates 2500"; fi # half of the recipe's
      "${run[@]}" --stage 8 --stop-stage 10 --labelled "$labelled" --finetune-args "$args" --scratch "$scratch" "$@"
    done
  done
done
