# shellcheck shell=bash
# Stages -1 to 12, the same for every corpus. Sourced by a recipe's run.sh, in its folder, with its options set: see
# egs/espeak/run.sh for what they mean. local/data.sh makes $dl_dir/$corpus, in the layout of LibriSpeech.

: "${stage:?}" "${stop_stage:?}" "${nj:?}" "${dl_dir:?}" "${data_dir:?}" "${exp_dir:?}" "${corpus:?}"
: "${train_set:?}" "${labelled_set:?}" "${dev_set:?}" "${test_sets:?}" "${km_iter:?}" "${pretrain_config:?}" "${pretrain_args?}" "${bpe?}"
: "${finetune_config:?}" "${finetune_args?}" "${scratch_args?}" "${avg:?}" "${decode_args?}"
if [ $# -gt 0 ]; then
  echo "error: run.sh takes options only, not '$1' (--help lists them)" >&2
  exit 1
fi
for number in "$stage" "$stop_stage" "$nj" "$km_iter" "$avg"; do
  if [[ ! $number =~ ^-?[0-9]+$ ]]; then
    echo "error: --stage, --stop-stage, --nj, --km-iter and --avg take whole numbers, not '$number'" >&2
    exit 1
  fi
done
if [ "$stage" -lt 0 ]; then
  "$MT4SSL_ROOT/tools/setup.sh"
elif [ ! -x "$MT4SSL_ROOT/.venv/bin/python" ]; then
  echo "error: there is no environment yet: run $MT4SSL_ROOT/tools/setup.sh" >&2
  exit 1
fi
. "$MT4SSL_ROOT/utils/stage.sh"

read -ra test_sets <<<"$test_sets"
read -ra pretrain_args <<<"$pretrain_args"
read -ra finetune_args <<<"$finetune_args"
read -ra scratch_args <<<"$scratch_args"
read -ra decode_args <<<"$decode_args"
splits=("$train_set" "$dev_set" "${test_sets[@]}")
manifests=$data_dir/manifests
lm=$data_dir/lm
if [ -n "$bpe" ]; then unit=bpe_$bpe; else unit=char; fi
lang=$data_dir/lang_$unit
symbols=("$lang/tokens.txt" "$lang/words.txt" "$lang/lexicon.txt")
models=("mt4ssl${bpe:+_$unit}" "scratch${bpe:+_$unit}")
wer_tables=() quality_tables=()

recordings() { echo "$manifests/${corpus}_recordings_$1.jsonl.gz"; }
supervisions() { echo "$manifests/${corpus}_supervisions_$1.jsonl.gz"; }
cuts() { echo "$data_dir/$1/${corpus}_cuts_$2.jsonl.gz"; } # cuts fbank dev

stage 0 data
# shellcheck disable=SC2154 # run.sh sets data_args, perhaps to nothing
step "$corpus" --out "$dl_dir/$corpus" --nj "$nj" -- local/data.sh --dl-dir "$dl_dir" "${data_args[@]}"

stage 1 manifests
step all --in "$dl_dir/$corpus" --out "$manifests" --nj "$nj" -- \
  python -m mt4ssl.bin.prepare_manifests --corpus "$corpus" --corpus-dir "$dl_dir/$corpus" \
  --splits "${splits[@]}" --subsets "$labelled_set" --out "$manifests"

stage 2 features
for type in fbank mfcc; do
  for split in "${splits[@]}"; do
    step "$type.$split" --nj "$nj" --in "$(recordings "$split")" "$(supervisions "$split")" \
      --out "$(cuts "$type" "$split")" "$data_dir/$type/feats_$split" -- \
      python -m mt4ssl.bin.compute_features --type "$type" --corpus "$corpus" --split "$split" \
      --manifests "$manifests" --out "$data_dir/$type"
  done
done
step "fbank.$labelled_set" --in "$(cuts fbank "$train_set")" "$(supervisions "$labelled_set")" \
  --out "$(cuts fbank "$labelled_set")" -- \
  python -m mt4ssl.bin.subset_cuts --cuts "$(cuts fbank "$train_set")" \
  --supervisions "$(supervisions "$labelled_set")" --out "$(cuts fbank "$labelled_set")"

# The first iteration clusters MFCC, the next ones a layer of the model just trained (HuBERT, section 2.2).
for iteration in $(seq "$km_iter"); do
  name=iter$iteration
  kmeans=$exp_dir/kmeans/$name
  if [ "$iteration" -eq 1 ]; then
    features=mfcc kmeans_config=conf/kmeans.yaml teacher=()
  else
    features=fbank kmeans_config=conf/kmeans_iter2.yaml teacher=(--checkpoint "$pretrained")
  fi
  pretrained=$exp_dir/pretrain/mt4ssl_$name

  stage 3 kmeans
  step "$name" --conf "$kmeans_config" --in "$(cuts "$features" "$train_set")" "${teacher[@]:1}" --out "$kmeans" -- \
    python -m mt4ssl.bin.train_kmeans --config "$kmeans_config" --cuts "$(cuts "$features" "$train_set")" \
    "${teacher[@]}" --out "$kmeans"

  stage 4 labels
  sources=()
  for split in "${splits[@]}"; do sources+=("$(cuts "$features" "$split")" "$(cuts fbank "$split")"); done
  step "$name" --in "$kmeans/centroids.npy" "$kmeans/config.yaml" "${sources[@]}" --out "$data_dir/kmeans/$name" -- \
    make_labels.sh "$kmeans" "$data_dir/$features/${corpus}_cuts" "$data_dir/fbank/${corpus}_cuts" \
    "$data_dir/kmeans/$name/${corpus}_cuts" "${splits[@]}"
  quality_tables+=("$kmeans/quality.json")
  step "quality.$name" --in "$kmeans/config.yaml" "$(cuts "kmeans/$name" "$dev_set")" --out "$kmeans/quality.json" -- \
    python -m mt4ssl.bin.label_quality --kmeans "$kmeans" --cuts "$(cuts "kmeans/$name" "$dev_set")" \
    --out "$kmeans/quality.json"

  stage 5 pretrain
  step "$name" --conf "$pretrain_config" --in "$data_dir/kmeans/$name" --out "$pretrained" -- \
    python -m mt4ssl.bin.pretrain --config "$pretrain_config" --train_cuts "$(cuts "kmeans/$name" "$train_set")" \
    --dev_cuts "$(cuts "kmeans/$name" "$dev_set")" --exp_dir "$pretrained" "${pretrain_args[@]}"
done

stage 6 lang
step "$unit" --in "$(supervisions "$labelled_set")" "$dl_dir/$corpus/lm.txt" --out "${symbols[@]}" -- \
  python -m mt4ssl.bin.prepare_lang --supervisions "$(supervisions "$labelled_set")" \
  --lm-text "$dl_dir/$corpus/lm.txt" ${bpe:+--bpe "$bpe"} --out "$lang"

stage 7 graph
for order in 3 4; do
  step "lm$order.$unit" --in "$dl_dir/$corpus/lm.txt" "$lang/words.txt" \
    --out "$lm/${order}gram.arpa" "$lm/G_${order}_gram.fst.txt" -- \
    python -m mt4ssl.bin.train_lm --text "$dl_dir/$corpus/lm.txt" --words "$lang/words.txt" --order "$order" \
    --out "$lm/${order}gram.arpa"
done
step "hlg.$unit" --in "${symbols[@]}" "$lm/G_3_gram.fst.txt" "$lm/G_4_gram.fst.txt" \
  --out "$lang/L.pt" "$lang/L_disambig.pt" "$lang/HLG.pt" "$lm/G_4_gram.pt" -- \
  k2_python.sh -m mt4ssl.bin.compile_graph --lang "$lang" --lm "$lm"

stage 8 finetune
for model in "${models[@]}"; do
  if [[ $model == scratch* ]]; then start=(--from_scratch true "${scratch_args[@]}"); else start=(); fi
  step "$model" --conf "$finetune_config" --out "$exp_dir/finetune/$model" \
    --in "$(cuts fbank "$labelled_set")" "$(cuts fbank "$dev_set")" "$pretrained" "${symbols[@]}" -- \
    python -m mt4ssl.bin.finetune --config "$finetune_config" --train_cuts "$(cuts fbank "$labelled_set")" \
    --dev_cuts "$(cuts fbank "$dev_set")" --lang "$lang" --pretrained "$pretrained" "${start[@]}" \
    --exp_dir "$exp_dir/finetune/$model" "${finetune_args[@]}"
done

# score MODEL METHOD SPLIT: the WER table of all hypotheses of that method
score() {
  local model=$exp_dir/finetune/$1 folder=$exp_dir/finetune/$1/$2
  wer_tables+=("$folder/wer-$3.json")
  step "$1.$2.$3.score" --in "$folder/hyps-$3*.txt" "$model/log_probs/$3.text" \
    --out "$folder/wer-$3.json" "$folder/wer-summary-$3.txt" "$folder/recogs-$3*.txt" "$folder/errs-$3*.txt" -- \
    python -m mt4ssl.bin.score --ref "$model/log_probs/$3.text" --split "$3" --out "$folder"
}

stage 9 emit
for model in "${models[@]}"; do
  folder=$exp_dir/finetune/$model
  averaged=("$folder/averaged-$avg.pt") # written with the log-probs of dev, kept for those of the test sets
  for split in "$dev_set" "${test_sets[@]}"; do
    step "$model.$split" --in "$folder/config.yaml" "$folder/step-*.pt" "$(cuts fbank "$split")" "${symbols[@]}" \
      --out "$folder/log_probs/$split.ark" "$folder/log_probs/$split.scp" "$folder/log_probs/$split.text" \
      "$folder/ctc-greedy-search/hyps-$split.txt" "${averaged[@]}" -- \
      python -m mt4ssl.bin.emit --exp "$folder" --avg "$avg" --cuts "$(cuts fbank "$split")" --split "$split"
    averaged=()
    score "$model" ctc-greedy-search "$split"
  done
done

stage 10 decode
for model in "${models[@]}"; do
  for method in 1best whole-lattice-rescoring; do
    folder=$exp_dir/finetune/$model/$method
    if [ "$method" = 1best ]; then rescore=(); else rescore=(--rescore-with "$lm/G_4_gram.pt"); fi
    for split in "$dev_set" "${test_sets[@]}"; do # the test sets at the scale that is best on dev
      if [ "$split" = "$dev_set" ]; then
        best=()
      else
        best=(--lm-scales-from "$folder/wer-$dev_set.json")
      fi
      log_probs=$exp_dir/finetune/$model/log_probs/$split
      step "$model.$method.$split" --in "$log_probs.ark" "$log_probs.scp" "$lang/HLG.pt" "$lang/words.txt" \
        "${rescore[@]:1}" "${best[@]:1}" --out "$folder/hyps-$split*.txt" -- \
        k2_python.sh -m mt4ssl.bin.decode --log-probs "$log_probs.scp" --lang "$lang" "${rescore[@]}" \
        --method "$method" "${best[@]}" --split "$split" --out "$folder" "${decode_args[@]}"
      score "$model" "$method" "$split"
    done
  done
done

stage 11 report
step results --in "${wer_tables[@]}" "${quality_tables[@]}" "$pretrained" "${models[@]/#/$exp_dir/finetune/}" \
  --out "$exp_dir/RESULTS.md" "$exp_dir/plots" -- \
  python -m mt4ssl.bin.report --exp-dir "$exp_dir" --models "${models[@]}" --test-sets "${test_sets[@]}" \
  --out "$exp_dir/RESULTS.md"

stage 12 export
step pretrained --in "$pretrained" --out "$exp_dir/export/pretrained" -- \
  python -m mt4ssl.bin.export --exp "$pretrained" --out "$exp_dir/export/pretrained"
finetuned=$exp_dir/finetune/${models[0]}
step ctc --in "$finetuned/config.yaml" "$finetuned/averaged-$avg.pt" "${symbols[@]}" --out "$exp_dir/export/ctc" -- \
  python -m mt4ssl.bin.export --exp "$finetuned" --out "$exp_dir/export/ctc"
end_stages
