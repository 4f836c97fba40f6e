#!/usr/bin/env bash
# Minutes of speech, a tiny model, a few updates: shows that every stage runs, not that anything is learnt.
set -euo pipefail

stage=0  # first stage to run
stop_stage=12  # last stage to run
nj=2  # parallel processes of stages 0 to 2
dl_dir=download  # the corpus
data_dir=data  # manifests, features, labels, language
exp_dir=exp  # models and results
km_iter=2  # rounds of K-means, labels and pre-training
pretrain_config=conf/pretrain.yaml  # settings of stage 5
pretrain_args=  # overrides of them
pretrained=  # folder of a model from elsewhere, to fine-tune that one: stages 3 to 5 are left out
bpe=  # number of sentencepiece units, instead of characters
finetune_config=conf/finetune.yaml  # settings of stage 8
finetune_args=  # overrides of them
scratch_args=  # overrides for the model without pre-training: its own best learning rate
avg=2  # last checkpoints to average
decode_args=  # beams of stage 10, if not the defaults

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=espeak
train_set=train
labelled_set=train_labelled
dev_set=dev
test_sets="test"
data_args=(
  --train-minutes 2 --labelled-minutes 1 --dev-minutes 0.2 --test-minutes 0.2
  --train-speakers 4 --dev-speakers 2 --test-speakers 2 --vocab-size 40
)
. "$MT4SSL_ROOT/utils/pipeline.sh"
