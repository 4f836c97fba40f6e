#!/usr/bin/env bash
# From nothing to WER tables: synthesises a corpus, pre-trains on it, fine-tunes with CTC, decodes with k2.
# Paths are relative to this folder. What is done and still up to date is skipped.
#
#   egs/espeak/run.sh                                    everything
#   egs/espeak/run.sh --stage 3 --stop-stage 5           K-means, labels, pre-training
#   egs/espeak/run.sh --pretrain-args "--loop.updates 100"
#
# Stages: -1 environment, 0 data, 1 manifests, 2 features, 3 kmeans, 4 labels, 5 pretrain, 6 lang, 7 graph, 8 finetune,
# 9 emit, 10 decode, 11 report, 12 export
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/options.sh"

train_minutes=60  # speech to pre-train on
labelled_minutes=10  # how much of it has text
dev_minutes=10  # speech to choose with
test_minutes=10  # speech to report on
train_speakers=120  # voices
dev_speakers=6  # voices, other ones
test_speakers=8  # voices, other ones again
unit=phone
rescore=false  # the 4-gram of so little text gains nothing over the 3-gram: RESULTS.md
vocab_size=100  # words that sentences are made of
decode_args="--max-active-states 3000"

. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=espeak
train_sets=train
labelled_set=train_labelled
dev_set=dev
test_sets="test"
data_args=(
  --train-minutes "$train_minutes" --labelled-minutes "$labelled_minutes" --dev-minutes "$dev_minutes"
  --test-minutes "$test_minutes" --train-speakers "$train_speakers" --dev-speakers "$dev_speakers"
  --test-speakers "$test_speakers" --vocab-size "$vocab_size"
)
lexicon=${lexicon:-$dl_dir/espeak/lexicon.txt} # what the synthesiser said; stage 0 writes it
. "$MT4SSL_ROOT/utils/pipeline.sh"
