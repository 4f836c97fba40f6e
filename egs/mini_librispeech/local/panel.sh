#!/usr/bin/env bash
# Which targets teach layers most of phones: pre-trains every system with every seed for the same time, and probes its
# layers. Each is a run of run.sh in a folder of its own, exp/panel/SYSTEM-SEED, on the data/, the labels and the phones of
# dev that are there; `local/panel.py add FOLDER` puts what it found into results/. What is fine-tuned on an hour and scored
# on dev is in exp/panel_wer/SYSTEM-SEED-SEED; `local/measurement.py add FOLDER` puts that into results/.
# Usage, after `./run.sh --stop-stage 11`:  local/panel.sh [OPTIONS] [-- OPTIONS OF run.sh]
#
#   local/panel.sh                                                                every system, probed
#   local/panel.sh --systems "offline mt4ssl" --finetune-seeds "0 1"              two of them, to a WER
#   local/panel.sh --experiment panel10 --times 10 --batch-seconds 120 --seeds 0  ten times the audio, on a GPU
set -euo pipefail

systems="scratch offline online mt4ssl ils bestrq dinosr fast_hubert_scratch fast_hubert mt4ssl2_scratch data2vec2 mt4ssl2"  # conf/SYSTEM.yaml over pretrain.yaml
seeds="0 1 2"  # of pre-training
finetune_seeds=  # of fine-tuning, on an hour
experiment=panel  # folder in exp/
times=1  # as much audio as takes the time of the recipe's pre-training
batch_seconds=30  # of an update

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
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
    config=conf/pretrain.yaml args="--loop.seed $seed"
    case ${system%scratch} in
      mt4ssl | '') ;;
      *) config+=,conf/${system%_scratch}.yaml ;;
    esac
    if [[ $system = *scratch ]]; then # the weights that training starts with
      args+=" --loop.updates 1 --optim.lr 1e-9"
    else
      args+=" --loop.updates $((updates[$system] * times * 30 / batch_seconds)) --loop.batch-seconds $batch_seconds"
      args+=" --loop.max-batch-seconds $((batch_seconds > 60 ? batch_seconds : 60))"
    fi
    folder=exp/$experiment/$system-$seed
    pretrained=$folder/pretrain/mt4ssl_iter1
    ./run.sh --exp-dir "$folder" --pretrain-config "$config" --stage 5 --stop-stage 5 --pretrain-args "$args" "$@"
    python -m mt4ssl.bin.probe --model "$pretrained" --cuts exp/kmeans/iter1/aligned_dev.jsonl.gz --out "$folder/probe"
    for finetune_seed in $finetune_seeds; do
      ./run.sh --exp-dir "exp/${experiment}_wer/$system-$seed-$finetune_seed" --pretrained "$pretrained" --scratch false \
        --labelled 1h --finetune-args "--loop.seed $finetune_seed" --test-sets dev --stage 8 --stop-stage 10 "$@"
    done
  done
done
