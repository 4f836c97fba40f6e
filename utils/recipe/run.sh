#!/usr/bin/env bash
# From speech to WER tables: what a recipe of its own decides is its corpus, its options and the configs in conf/.
# Paths are relative to this folder. What is done and still up to date is skipped.
# Stages: -1 environment, 0 data, 1 manifests, 2 features, 3 kmeans, 4 labels, 5 pretrain, 6 lang, 7 graph, 8 finetune,
# 9 emit, 10 decode, 11 report, 12 export
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091 # utils/new_recipe.sh writes it
. "$here/path.sh"
. "$MT4SSL_ROOT/utils/options.sh"

# Here go other defaults, such as nj=8 or km_iter=2, and options of your own, with a comment for --help after two spaces.

. "$MT4SSL_ROOT/utils/parse_options.sh"
cd "$here"

corpus=CORPUS
# The splits of conf/corpus.yaml, by what is done with them:
train_sets="train"  # pre-trained on, all of them together; they need no text
labelled_set=train  # fine-tuned on
dev_set=dev         # what LM scales and checkpoints are chosen on
test_sets="test"    # reported on
. "$MT4SSL_ROOT/utils/pipeline.sh"
