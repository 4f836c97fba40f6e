#!/usr/bin/env bash
# Stage 0: puts the corpus into <dl-dir>/CORPUS, in the layout of LibriSpeech:
#   {train,dev,test}/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac
#   {train,dev,test}/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt    lines "SPEAKER-CHAPTER-UTTERANCE THE TEXT"
#   train_labelled.txt     the ids of the utterances of train to fine-tune on, one a line
#   lm.txt                 text for the language models, one sentence a line, nothing of dev and test
#   phones_{train,dev,test}.ctm    where there are any: phone times, to measure the labels with
set -euo pipefail

dl_dir=download  # where the corpus goes
nj=2  # parallel processes

. "$MT4SSL_ROOT/utils/parse_options.sh"

echo "error: local/data.sh is still to be written: it makes $dl_dir/CORPUS ($nj processes)" >&2
exit 1
