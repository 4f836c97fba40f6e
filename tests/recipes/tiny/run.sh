#!/usr/bin/env bash
# Minutes of speech, a tiny model, a few updates: shows that every stage runs, not that anything is learnt.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/options.sh"

stage=0
unit=phone
km_iter=2
avg=2

. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=espeak
train_sets=train
labelled_set=train_labelled
dev_set=dev
test_sets="test"
data_args=(
  --train-minutes 2 --labelled-minutes 1 --dev-minutes 0.2 --test-minutes 0.2
  --train-speakers 4 --dev-speakers 2 --test-speakers 2 --vocab-size 40
)
lexicon=$dl_dir/espeak/lexicon.txt
. "$MT4SSL_ROOT/utils/pipeline.sh"
