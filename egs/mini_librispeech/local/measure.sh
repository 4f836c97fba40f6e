#!/usr/bin/env bash
# One system of the measurement in RESULTS.md, with one seed: pre-trains, fine-tunes on an hour and on all of train,
# scores dev and test, and keeps configs, logs and WERs in results/SYSTEM-SEED. What is done is not done again.
# Usage, after `./run.sh --stop-stage 7`:  local/measure.sh SYSTEM SEED [UPDATES...] [seed=N...]
# SYSTEM: scratch, offline, online, mt4ssl, or mt4ssl_iter2 (labels by a layer of mt4ssl, which must be there).
# UPDATES: of the pre-training, after which to fine-tune on an hour too, for the convergence figure, of dev.
# seed=N: fine-tunes the same pre-training again, with another seed, and scores dev: how much is chance?
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=../path.sh
. ./path.sh
if [ $# -lt 2 ]; then
  sed -n '1d; /^#/!q; s/^# //p' local/measure.sh >&2
  exit 1
fi
system=$1 seed=$2
corpus=mini_librispeech exp=exp/measure/$system-$seed results=results/$system-$seed labels=iter1
test_set=
for path in data/fbank/"${corpus}"_cuts_*.jsonl.gz; do
  split=$(basename "$path" .jsonl.gz)
  split=${split#"${corpus}"_cuts_}
  case $split in train* | dev | '*') ;; *) test_set=$split ;; esac
done
if [ -z "$test_set" ]; then
  echo "error: there is no test set in data/fbank: run ./run.sh --stop-stage 7 first" >&2
  exit 1
fi
note=
if [ "$test_set" = test-clean-20spk ]; then
  note="test-clean-20spk is half of test-clean (20 of its 40 speakers), of lossy audio (Ogg Opus, 31 kbit/s)."
fi

# make FILE COMMAND...: runs the command unless its last output is there; steps.tsv gets its time and commit
make() {
  local begin=$SECONDS
  if [ -e "$1" ]; then return; fi
  mkdir -p "$exp" "$results"
  echo "$system $seed: $1"
  "${@:2}" >>"$exp/log" 2>&1 || { tail -n 20 "$exp/log" >&2 && exit 1; }
  printf '%s\t%s s\t%s\n' "${1#"$exp/"}" $((SECONDS - begin)) "$(git describe --always)" >>"$results/steps.tsv"
}

# keep FOLDER FILES...: copies small text files into the results
keep() {
  mkdir -p "$results/$1"
  cp "${@:2}" "$results/$1/"
}

cuts() { echo "data/$1/${corpus}_cuts_$2.jsonl.gz"; } # cuts fbank dev

# finetune PRETRAINED SUBSET NAME SEED SPLIT...: trains, decodes, scores; on all of train for half the updates of the recipe
finetune() {
  local folder=$exp/$3 options=(--loop.seed "$4") split method
  if [ "$system" = scratch ]; then options+=(--from_scratch true); fi
  if [ "$2" = all ]; then options+=(--loop.updates 2500); fi
  make "$folder/final.pt" python -m mt4ssl.bin.finetune --config "conf/finetune_$2.yaml" --lang data/lang_char \
    --train_cuts "$(cuts fbank "train_$2")" --dev_cuts "$(cuts fbank dev)" --pretrained "$1" --exp_dir "$folder" \
    "${options[@]}"
  for split in "${@:5}"; do
    make "$folder/log_probs/$split.scp" python -m mt4ssl.bin.emit --exp "$folder" --cuts "$(cuts fbank "$split")" \
      --split "$split"
    decode "$folder" "$split"
    for method in ctc-greedy-search 1best; do
      make "$folder/$method/wer-$split.json" python -m mt4ssl.bin.score --ref "$folder/log_probs/$split.text" \
        --split "$split" --out "$folder/$method" --note "$([ "$split" = dev ] || echo "$note")"
      keep "$3/$method" "$folder/$method/wer-$split.json"
    done
  done
  keep "$3" "$folder/config.yaml" "$folder/log.jsonl"
}

# decode FOLDER SPLIT: one-best over HLG, of test with the weights that are best on dev
decode() {
  local scale=() done_file=$1/1best/$2.done
  if [ "$2" != dev ]; then scale=(--weights-from "$1/1best/wer-dev.json"); fi
  make "$done_file" k2_python.sh -m mt4ssl.bin.decode --log-probs "$1/log_probs/$2.scp" --lang data/lang_char \
    --method 1best --split "$2" --out "$1/1best" --search-beam 14 --max-active-states 1500 "${scale[@]}"
  touch "$done_file"
}

pretrained=exp/measure/mt4ssl-0/pretrain # scratch takes its architecture alone
if [ "$system" = mt4ssl_iter2 ]; then
  labels=iter2_$seed
  make "$exp/kmeans/centroids.npy" python -m mt4ssl.bin.train_kmeans --config conf/kmeans_iter2.yaml \
    --cuts "$(cuts fbank train)" --checkpoint "exp/measure/mt4ssl-$seed/pretrain" --out "$exp/kmeans"
  for split in train dev; do
    make "$(cuts "kmeans/$labels" "$split")" python -m mt4ssl.bin.make_labels --kmeans "$exp/kmeans" \
      --features "$(cuts fbank "$split")" --cuts "$(cuts fbank "$split")" --out "$(cuts "kmeans/$labels" "$split")"
  done
fi
if [ "$system" != scratch ]; then
  config=conf/pretrain_$system.yaml pretrained=$exp/pretrain
  if [ ! -e "$config" ]; then config=conf/pretrain.yaml; fi
  make "$pretrained/final.pt" python -m mt4ssl.bin.pretrain --config "$config" --exp_dir "$pretrained" \
    --train_cuts "$(cuts "kmeans/$labels" train)" --dev_cuts "$(cuts "kmeans/$labels" dev)" --loop.seed "$seed"
  keep pretrain "$pretrained/config.yaml" "$pretrained/log.jsonl"
fi
for subset in 1h all; do finetune "$pretrained" "$subset" "$subset" "$seed" dev "$test_set"; done
for more in "${@:3}"; do
  if [[ $more == seed=* ]]; then
    other=${more#seed=}
    for subset in 1h all; do finetune "$pretrained" "$subset" "${subset}_seed_$other" "$other" dev; done
  else
    mkdir -p "$exp/after_$more"
    ln -sf ../pretrain/config.yaml "$exp/after_$more/config.yaml"
    ln -sf "../pretrain/step-$more.pt" "$exp/after_$more/final.pt"
    finetune "$exp/after_$more" 1h "1h_after_$more" "$seed" dev
  fi
done
