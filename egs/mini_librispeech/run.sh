#!/usr/bin/env bash
# Five hours of real speech: pre-trains on mini LibriSpeech (OpenSLR 31), fine-tunes on all or one hour of it.
# Paths are relative to this folder. What is done and still up to date is skipped.
#
#   egs/mini_librispeech/run.sh                                    everything, with what it downloads
#   egs/mini_librispeech/run.sh --dl-dir DIR --lm-text BOOKS       DIR has LibriSpeech/train-clean-5 and a test set
#   egs/mini_librispeech/run.sh --stage 8 --labelled 1h            fine-tuning on an hour, of the same pre-training
#
# Stages: -1 environment, 0 data, 1 manifests, 2 features, 3 kmeans, 4 labels, 5 pretrain, 6 lang, 7 graph, 8 finetune,
# 9 emit, 10 decode, 11 report, 12 export
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/options.sh"

dl_dir=download  # has LibriSpeech/, or gets it; gets mini_librispeech/: lists, and the text of the language models
lm_text=  # folder of books (*.txt) for the language models
bible=true  # beside them, the King James Bible from PyPI
test_sets=  # splits to report on, if not test-clean-20spk where <dl-dir> has test-clean, and else dev-clean-2
test_note=  # what stands under their tables, if not that test-clean-20spk is half of test-clean, and lossy
unit=phone
lexicon=cmudict
rescore=false  # the 4-gram of so little text gains nothing over the 3-gram: RESULTS.md
labelled=all  # speech with text: all (of train), or 1h
finetune_config=  # settings of stage 8, if not conf/finetune.yaml,conf/finetune_<labelled>.yaml
decode_args="--search-beam 17 --max-active-states 3000 --arcs-per-frame 6 --prior-scale 0.5"

. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=mini_librispeech
train_sets=train
labelled_set=train_$labelled
labelled_sets="train_1h train_all"
dev_set=dev
if [ -z "$test_sets" ]; then
  if [ -d "$dl_dir/LibriSpeech/test-clean" ]; then test_sets=test-clean-20spk; else test_sets=dev-clean-2; fi
fi
if [ -z "$test_note" ] && [[ $test_sets == *test-clean-20spk* ]]; then
  test_note="test-clean-20spk is half of test-clean (20 of its 40 speakers), of lossy audio (Ogg Opus, 31 kbit/s)."
fi
finetune_config=${finetune_config:-conf/finetune.yaml,conf/finetune_$labelled.yaml}
data_inputs=(${lm_text:+"$lm_text"})
data_args=(--test-sets "$test_sets" --lm-text "$lm_text" --bible "$bible")
. "$MT4SSL_ROOT/utils/pipeline.sh"
