#!/usr/bin/env bash
# Stage 0: LibriSpeech, its language models and Libri-Light's lists, linked into the layout that the recipe reads.
# A copy that <dl-dir> has is taken as it is: LibriSpeech/, lm/, librispeech_finetuning/. What it lacks is downloaded.
set -euo pipefail

dl_dir=download  # has or gets the corpus; gets librispeech/, which links to it
nj=2  # downloads at a time

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../../../utils/parse_options.sh"

mkdir -p "$dl_dir/librispeech"
dl_dir=$(cd "$dl_dir" && pwd)
cat <<END
Needed on disk: 61 GB for LibriSpeech and 31 GB more while it is unpacked, 7 GB for the language models; in data/ 1 GB of
labels for each round of K-means, and 41 GB of features without --on-the-fly true; 3 GB for each pre-training.
Free there: $(df -h --output=avail "$dl_dir" | tail -n 1 | xargs)
Needed in memory: 4 GiB up to stage 6; in stages 7 and 10 several times the 4-gram's ARPA file.
END
python "$here/download.py" --dl-dir "$dl_dir" --nj "$nj"

corpus=$dl_dir/librispeech
for split in dev-clean dev-other test-clean test-other; do
  ln -sfn "$dl_dir/LibriSpeech/$split" "$corpus/$split"
done
if [ ! -d "$corpus/train-960" ]; then
  rm -rf "$corpus/train-960.part"
  for part in train-clean-100 train-clean-360 train-other-500; do
    cp -rs "$dl_dir/LibriSpeech/$part/." "$corpus/train-960.part"
  done
  mv "$corpus/train-960.part" "$corpus/train-960"
fi

# list FOLDER...: the ids of the utterances in some folders
list() { find -L "$@" -name '*.flac' -printf '%f\n' | sed 's/\.flac$//' | sort; }
limited=$dl_dir/librispeech_finetuning
list "$limited/1h/0" >"$corpus/train-10m.txt"
list "$limited/1h" >"$corpus/train-1h.txt"
list "$limited/1h" "$limited/9h" >"$corpus/train-10h.txt"
list "$dl_dir/LibriSpeech/train-clean-100" >"$corpus/train-100h.txt"

cut -f 1 "$dl_dir/lm/librispeech-lexicon.txt" | sort -u >"$corpus/lm.txt" # the words; the n-grams come ready-made
gunzip -c "$dl_dir/lm/3-gram.pruned.1e-7.arpa.gz" >"$corpus/3gram.arpa"
gunzip -c "$dl_dir/lm/4-gram.arpa.gz" >"$corpus/4gram.arpa"
