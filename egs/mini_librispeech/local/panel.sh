#!/usr/bin/env bash
# Which targets teach layers most of phones: pre-trains every system with every seed for the same time, and probes its
# layers. Each is a run of run.sh in a folder of its own, exp/panel/SYSTEM-SEED, on the data/, the labels and the phones of
# dev that are there; `local/panel.py add FOLDER` puts what it found into results/.
# Usage, after `./run.sh --stop-stage 11`:  local/panel.sh [OPTIONS] [-- OPTIONS OF run.sh]
#
#   local/panel.sh                                         everything
#   local/panel.sh --systems "bestrq dinosr" --seeds 0     some of it
set -euo pipefail

systems="scratch offline online mt4ssl ils fast_hubert bestrq dinosr data2vec2 mt4ssl2"  # conf/SYSTEM.yaml over pretrain.yaml
seeds="0 1 2"  # of pre-training

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../path.sh
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

# Updates that take as long as 2000 of mt4ssl do, by the audio a second of each, on one core of an AMD EPYC in fp32.
declare -A updates=(
  [mt4ssl]=2000 [offline]=2800 [online]=2200 [ils]=2800 [fast_hubert]=1400 [bestrq]=2800 [dinosr]=2100 [data2vec2]=1600
  [mt4ssl2]=1200
)

for seed in $seeds; do
  for system in $systems; do
    config=conf/pretrain.yaml args="--loop.seed $seed --loop.updates ${updates[$system]:-1}"
    case $system in
      mt4ssl) ;;
      scratch) args+=" --optim.lr 1e-9" ;; # the weights that training starts with
      *) config+=,conf/$system.yaml ;;
    esac
    folder=exp/panel/$system-$seed
    ./run.sh --exp-dir "$folder" --pretrain-config "$config" --stage 5 --stop-stage 5 --pretrain-args "$args" "$@"
    python -m mt4ssl.bin.probe --model "$folder/pretrain/mt4ssl_iter1" --cuts exp/kmeans/iter1/aligned_dev.jsonl.gz \
      --out "$folder/probe"
  done
done
