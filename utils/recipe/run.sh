#!/usr/bin/env bash
# From speech to WER tables: what a recipe of its own decides is its corpus, its options and the configs in conf/.
# Paths are relative to this folder. What is done and still up to date is skipped.
# Stages: -1 environment, 0 data, 1 manifests, 2 features, 3 kmeans, 4 labels, 5 pretrain, 6 lang, 7 graph, 8 finetune,
# 9 emit, 10 decode, 11 report, 12 export
set -euo pipefail

stage=-1  # first stage to run
stop_stage=12  # last stage to run
nj=2  # parallel processes of stages 0 to 2 and 10
ngpu=1  # GPUs of stages 5 and 8, on each machine
dry_run=false  # show what each stage would do, and how long the trainings would take

dl_dir=download  # the corpus
data_dir=data  # manifests, features, labels, language
exp_dir=exp  # models and results
on_the_fly=false  # compute features whenever they are read, rather than store them

km_iter=1  # rounds of K-means, labels and pre-training
pretrain_config=conf/pretrain.yaml  # settings of stage 5
pretrain_args=  # overrides of them
pretrained=  # folder of a model from elsewhere, to fine-tune that one: stages 3 to 5 are left out
bpe=  # number of sentencepiece units, instead of characters
finetune_config=conf/finetune.yaml  # settings of stage 8
finetune_args=  # overrides of them
scratch_args=  # overrides for the model without pre-training: its own best learning rate
avg=5  # last checkpoints to average
decode_args=  # beams of stage 10, if not the defaults

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091 # utils/new_recipe.sh writes it
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=CORPUS
train_set=train
labelled_set=train_labelled # the part of train_set that has text
dev_set=dev
test_sets="test"
data_args=() # what local/data.sh gets besides --dl-dir and --nj
. "$MT4SSL_ROOT/utils/pipeline.sh"
