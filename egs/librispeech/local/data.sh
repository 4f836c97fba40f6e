#!/usr/bin/env bash
# Stage 0: LibriSpeech, its language models and Libri-Light's lists: LibriSpeech/, lm/ and librispeech_finetuning/.
# What <dl-dir> has of them is taken as it is, and what it lacks is downloaded.
set -euo pipefail

dl_dir=download  # has or gets the corpus; gets librispeech/, the text of the language models
nj=2  # downloads at a time

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../../../utils/parse_options.sh"

mkdir -p "$dl_dir/librispeech"
dl_dir=$(CDPATH='' cd "$dl_dir" && pwd)
cat <<END
Needed on disk: 61 GB for LibriSpeech and 31 GB more while it is unpacked, 7 GB for the language models; in data/ 1 GB of
labels for each round of K-means, and 41 GB of features without --on-the-fly true; 3 GB for each pre-training.
Free there: $(df -h --output=avail "$dl_dir" | tail -n 1 | xargs)
Needed in memory: 4 GiB up to stage 6; in stages 7 and 10 several times the 4-gram's ARPA file.
END
python "$here/../../../utils/download.py" --sources "$here/sources.txt" --dl-dir "$dl_dir" --nj "$nj"

# whole FILE COMMAND...: what a command prints, in a file that appears when it is whole
whole() {
  "${@:2}" >"$1.part" || { rm "$1.part" && return 1; }
  mv "$1.part" "$1"
}
words() { cut -f 1 "$dl_dir/lm/librispeech-lexicon.txt" | sort -u; }
corpus=$dl_dir/librispeech
whole "$corpus/lm.txt" words # the n-grams come ready-made
whole "$corpus/3gram.arpa" gunzip -c "$dl_dir/lm/3-gram.pruned.1e-7.arpa.gz"
whole "$corpus/4gram.arpa" gunzip -c "$dl_dir/lm/4-gram.arpa.gz"
