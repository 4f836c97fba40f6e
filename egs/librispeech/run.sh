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

stage=-1  # first stage to run
stop_stage=12  # last stage to run
nj=8  # parallel processes of stages 0 to 2 and 10
ngpu=1  # GPUs of stages 5 and 8, on each machine
dry_run=false  # show what each stage would do, and how long the trainings would take

dl_dir=download  # the corpus
data_dir=data  # manifests, features, labels, language
exp_dir=exp  # models and results
on_the_fly=true  # compute features whenever they are read, rather than store them

km_iter=2  # rounds of K-means, labels and pre-training
pretrain_config=conf/pretrain_base.yaml  # settings of stage 5
pretrain_args=  # overrides of them
pretrained=  # folder of a model from elsewhere, to fine-tune that one: stages 3 to 5 are left out
bpe=  # number of sentencepiece units, instead of characters
labelled=10h  # speech with text: 10m, 1h, 10h or 100h
finetune_config=  # settings of stage 8, if not conf/finetune_<labelled>.yaml
finetune_args=  # overrides of them
scratch_args="--freeze_updates 0 --optim.lr 5e-4"  # overrides for the model without pre-training
avg=5  # last checkpoints to average
decode_args=  # beams of stage 10, if not the defaults

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=librispeech
train_set=train-960
labelled_set=train-$labelled
labelled_sets="train-10m train-1h train-10h train-100h"
dev_set=dev-other
test_sets="dev-clean test-clean test-other"
finetune_config=${finetune_config:-conf/finetune_$labelled.yaml}
arpa=true # stage 0 has the language models
data_args=()
. "$MT4SSL_ROOT/utils/pipeline.sh"
