#!/usr/bin/env bash
# The paper: pre-trains on 960 h of LibriSpeech, fine-tunes on 10 min, 1 h, 10 h or 100 h of it, decodes with k2.
# Paths are relative to this folder. What is done and still up to date is skipped.
#
#   egs/librispeech/run.sh --dry-run true                what it would do, and how long that takes here
#   egs/librispeech/run.sh --dl-dir /data/librispeech    everything, from a folder that has LibriSpeech/, or gets it
#   egs/librispeech/run.sh --stage 8 --labelled 1h       fine-tuning on an hour, of the same pre-trained model
#
# Stages: -1 environment, 0 data, 1 manifests, 2 features, 3 kmeans, 4 labels, 5 pretrain, 6 lang, 7 graph, 8 finetune,
# 9 emit, 10 decode, 11 report, 12 export
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/options.sh"

labelled=10h  # speech with text: 10m, 1h, 10h or 100h
nj=8
on_the_fly=true
km_iter=2
pretrain_config=conf/pretrain_base.yaml
finetune_config=  # settings of stage 8, if not conf/finetune.yaml,conf/finetune_<labelled>.yaml
scratch_args="--freeze-updates 0 --optim.lr 5e-4"

. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=librispeech
train_sets=train-960
labelled_set=train-$labelled
labelled_sets="train-10m train-1h train-10h train-100h"
dev_set=dev-other
test_sets="dev-clean test-clean test-other"
finetune_config=${finetune_config:-conf/finetune.yaml,conf/finetune_$labelled.yaml}
lexicon=${lexicon:-$dl_dir/lm/librispeech-lexicon.txt} # of --unit phone; stage 0 has it
arpa=true # stage 0 has the language models
. "$MT4SSL_ROOT/utils/pipeline.sh"
