# shellcheck shell=bash
# Stages -1 to 12, the same for every corpus. Sourced by a recipe's run.sh, in its folder, with its options set: see
# egs/espeak/run.sh for what they mean. local/data.sh makes $dl_dir/$corpus, in the layout of LibriSpeech.

: "${stage:?}" "${stop_stage:?}" "${nj:?}" "${dl_dir:?}" "${data_dir:?}" "${exp_dir:?}" "${corpus:?}"
: "${train_set:?}" "${labelled_set:?}" "${dev_set:?}" "${test_sets:?}" "${km_iter:?}" "${pretrain_config:?}" "${pretrain_args?}" "${bpe?}"
: "${finetune_config:?}" "${finetune_args?}" "${scratch_args?}" "${avg:?}" "${decode_args?}"
# Not every recipe has these: the subsets to fine-tune on, GPUs, features computed when read, ARPA files of stage 0,
# what to say about the test sets, a model from elsewhere; what stage 0 reads besides local/.
: "${labelled_sets:=$labelled_set}" "${ngpu:=1}" "${dry_run:=false}" "${on_the_fly:=false}" "${arpa:=false}"
: "${test_note:=}" "${pretrained:=}"
declare -p data_inputs &>/dev/null || data_inputs=()
if [ $# -gt 0 ]; then
  echo "error: run.sh takes options only, not '$1' (--help lists them)" >&2
  exit 1
fi
for number in "$stage" "$stop_stage"; do
  if [[ ! $number =~ ^-?[0-9]+$ ]]; then
    echo "error: --stage and --stop-stage take whole numbers, not '$number'" >&2
    exit 1
  fi
done
for number in "$nj" "$ngpu" "$km_iter" "$avg"; do
  if [[ ! $number =~ ^[1-9][0-9]*$ ]]; then
    echo "error: --nj, --ngpu, --km-iter and --avg take whole numbers from 1, not '$number'" >&2
    exit 1
  fi
done
if [[ " $labelled_sets " != *" $labelled_set "* ]]; then
  echo "error: there is no labelled set $labelled_set: it is one of ${labelled_sets// /, }" >&2
  exit 1
fi
for path in "$pretrain_config" "$finetune_config" ${pretrained:+"$pretrained/config.yaml"}; do
  if [ ! -f "$path" ]; then
    echo "error: there is no file $path (paths are relative to $PWD)" >&2
    exit 1
  fi
done
if [ "$stage" -lt 0 ] && [ "$dry_run" = false ]; then
  "$MT4SSL_ROOT/tools/setup.sh"
elif [ ! -x "$MT4SSL_ROOT/.venv/bin/python" ]; then
  echo "error: there is no environment yet: run $MT4SSL_ROOT/tools/setup.sh" >&2
  exit 1
fi
. "$MT4SSL_ROOT/utils/stage.sh"

read -ra test_sets <<<"$test_sets"
read -ra labelled_sets <<<"$labelled_sets"
read -ra pretrain_args <<<"$pretrain_args"
read -ra finetune_args <<<"$finetune_args"
read -ra scratch_args <<<"$scratch_args"
read -ra decode_args <<<"$decode_args"
splits=("$train_set" "$dev_set" "${test_sets[@]}")
manifests=$data_dir/manifests
if [ -n "$bpe" ]; then unit=bpe_$bpe; else unit=char; fi
lm=$data_dir/lm_$unit
lang=$data_dir/lang_$unit
symbols=("$lang/tokens.txt" "$lang/words.txt" "$lang/lexicon.txt")
tokens=("$lang/tokens.txt" ${bpe:+"$lang/bpe.model"})
variant=${bpe:+_$unit}
if [ ${#labelled_sets[@]} -gt 1 ]; then variant+=_$labelled_set; fi
models=("$(basename "${pretrained:-mt4ssl}")$variant" "scratch$variant")
wer_tables=() quality_tables=()

recordings() { echo "$manifests/${corpus}_recordings_$1.jsonl.gz"; }
supervisions() { echo "$manifests/${corpus}_supervisions_$1.jsonl.gz"; }
cuts() { echo "$data_dir/$1/${corpus}_cuts_$2.jsonl.gz"; } # cuts fbank dev

# plan VERB ARGUMENTS...: for --dry-run, the size of a training, and the time it would take here
plan() {
  if [ "$dry_run" = true ] && selected; then
    python -m mt4ssl.bin.plan "$1" --processes "$ngpu" --kmeans "$kmeans_config" \
      --pretraining "--config ${pretrain_config@Q} ${pretrain_args[*]@Q}" -- "${@:2}"
  fi
}

stage 0 data
# shellcheck disable=SC2154 # run.sh sets data_args, perhaps to nothing
step "$corpus" --conf local --in "${data_inputs[@]}" --out "$dl_dir/$corpus" --nj "$nj" -- \
  local/data.sh --dl-dir "$dl_dir" "${data_args[@]}"

stage 1 manifests
prepare=(python -m mt4ssl.bin.prepare_manifests --corpus "$corpus" --corpus-dir "$dl_dir/$corpus" --out "$manifests")
others=() others_manifests=()
for split in "${splits[@]}"; do
  phones=("$dl_dir/$corpus/phones_$split.ctm")
  if [ ! -e "${phones[0]}" ]; then phones=(); fi
  step "$split" --in "$dl_dir/$corpus/$split" "${phones[@]}" "${others_manifests[@]}" --nj "$nj" \
    --out "$(recordings "$split")" "$(supervisions "$split")" -- \
    "${prepare[@]}" --split "$split" --apart-from "${others[@]}"
  others+=("$split") others_manifests+=("$(supervisions "$split")")
done
for subset in "${labelled_sets[@]}"; do
  step "$subset" --conf "$dl_dir/$corpus/$subset.txt" --in "$(recordings "$train_set")" "$(supervisions "$train_set")" \
    --out "$(recordings "$subset")" "$(supervisions "$subset")" -- \
    "${prepare[@]}" --split "$subset" --subset-of "$train_set"
done

stage 2 features
for type in fbank mfcc; do
  for split in "${splits[@]}"; do
    arrays=("$data_dir/$type/feats_$split") option=()
    if [ "$on_the_fly" = true ]; then arrays=() option=(--on-the-fly); fi
    step "$type.$split" --nj "$nj" --in "$(recordings "$split")" "$(supervisions "$split")" \
      --out "$(cuts "$type" "$split")" "${arrays[@]}" -- \
      python -m mt4ssl.bin.compute_features --type "$type" --corpus "$corpus" --split "$split" \
      --manifests "$manifests" --out "$data_dir/$type" "${option[@]}"
  done
done
for subset in "${labelled_sets[@]}"; do
  step "fbank.$subset" --in "$(cuts fbank "$train_set")" "$(supervisions "$subset")" \
    --out "$(cuts fbank "$subset")" -- \
    python -m mt4ssl.bin.subset_cuts --cuts "$(cuts fbank "$train_set")" --supervisions "$(supervisions "$subset")" \
    --out "$(cuts fbank "$subset")"
done

# The first iteration clusters MFCC, the next ones a layer of the model just trained (HuBERT, section 2.2).
if [ -n "$pretrained" ]; then km_iter=0; fi
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
  config=("$data_dir/kmeans/$name/*.yaml") # the same for all splits, written with the first
  for split in "${splits[@]}"; do
    step "$name.$split" --in "$kmeans/centroids.npy" "$kmeans/config.yaml" "$(cuts "$features" "$split")" \
      "$(cuts fbank "$split")" --out "$(cuts "kmeans/$name" "$split")" "$data_dir/kmeans/$name/*_$split" \
      "${config[@]}" -- \
      python -m mt4ssl.bin.make_labels --kmeans "$kmeans" --features "$(cuts "$features" "$split")" \
      --cuts "$(cuts fbank "$split")" --out "$(cuts "kmeans/$name" "$split")"
    config=()
  done
  quality_tables+=("$kmeans/quality.json")
  step "quality.$name" --in "$kmeans/config.yaml" "$(cuts "kmeans/$name" "$dev_set")" --out "$kmeans/quality.json" -- \
    python -m mt4ssl.bin.label_quality --kmeans "$kmeans" --cuts "$(cuts "kmeans/$name" "$dev_set")" \
    --out "$kmeans/quality.json"

  stage 5 pretrain
  training=(
    --config "$pretrain_config" --train_cuts "$(cuts "kmeans/$name" "$train_set")"
    --dev_cuts "$(cuts "kmeans/$name" "$dev_set")" --exp_dir "$pretrained" "${pretrain_args[@]}"
  )
  step "$name" --conf "$pretrain_config" --in "$(cuts "kmeans/$name" "$train_set")" \
    "$(cuts "kmeans/$name" "$dev_set")" --out "$pretrained" --ngpu "$ngpu" -- \
    python -m mt4ssl.bin.pretrain "${training[@]}"
  plan pretrain "${training[@]}"
done

stage 6 lang
most_text=$(supervisions "${labelled_sets[-1]}") # the largest subset, so that the tokens are those of all
step "$unit" --in "$most_text" "$dl_dir/$corpus/lm.txt" --out "${symbols[@]}" -- \
  python -m mt4ssl.bin.prepare_lang --supervisions "$most_text" \
  --lm-text "$dl_dir/$corpus/lm.txt" ${bpe:+--bpe "$bpe"} --out "$lang"

stage 7 graph
if [ "$arpa" = true ]; then arpas=$dl_dir/$corpus; else arpas=$lm; fi
for order in 3 4; do
  g=$lm/G_${order}_gram.fst.txt
  if [ "$arpa" = true ]; then
    step "lm$order.$unit" --in "$arpas/${order}gram.arpa" "$lang/words.txt" --out "$g" -- \
      python -m mt4ssl.bin.convert_lm --arpa "$arpas/${order}gram.arpa" --words "$lang/words.txt" --out "$g"
  else
    step "lm$order.$unit" --in "$dl_dir/$corpus/lm.txt" "$lang/words.txt" --out "$arpas/${order}gram.arpa" "$g" -- \
      python -m mt4ssl.bin.train_lm --text "$dl_dir/$corpus/lm.txt" --words "$lang/words.txt" --order "$order" \
      --out "$arpas/${order}gram.arpa"
  fi
done
held_out=()
for split in "$dev_set" "${test_sets[@]}"; do held_out+=("$(supervisions "$split")"); done
step "perplexity.$unit" --in "$arpas/3gram.arpa" "$arpas/4gram.arpa" "${held_out[@]}" --out "$lm/perplexity.json" -- \
  python -m mt4ssl.bin.perplexity --arpa "$arpas/3gram.arpa" "$arpas/4gram.arpa" --corpus "$corpus" \
  --manifests "$manifests" --splits "$dev_set" "${test_sets[@]}" --out "$lm/perplexity.json"
step "hlg.$unit" --in "${symbols[@]}" "$lm/G_3_gram.fst.txt" "$lm/G_4_gram.fst.txt" \
  --out "$lang/L.pt" "$lang/L_disambig.pt" "$lang/HLG.pt" "$lm/G_4_gram.pt" -- \
  k2_python.sh -m mt4ssl.bin.compile_graph --lang "$lang" --lm "$lm"

stage 8 finetune
for model in "${models[@]}"; do
  if [[ $model == scratch* ]]; then start=(--from_scratch true "${scratch_args[@]}"); else start=(); fi
  training=(
    --config "$finetune_config" --train_cuts "$(cuts fbank "$labelled_set")"
    --dev_cuts "$(cuts fbank "$dev_set")" --lang "$lang" --pretrained "$pretrained"
    --exp_dir "$exp_dir/finetune/$model" "${finetune_args[@]}" "${start[@]}"
  )
  step "$model" --conf "$finetune_config" "${tokens[@]}" --out "$exp_dir/finetune/$model" --ngpu "$ngpu" \
    --in "$(cuts fbank "$labelled_set")" "$(cuts fbank "$dev_set")" "$pretrained" -- \
    python -m mt4ssl.bin.finetune "${training[@]}"
  plan finetune "${training[@]}"
done

# score MODEL METHOD SPLIT: the WER table of all hypotheses of that method
score() {
  local model=$exp_dir/finetune/$1 folder=$exp_dir/finetune/$1/$2 note=() hyps='-lm_scale_*' key='lm_scale_*'
  if [ "$2" = ctc-greedy-search ]; then hyps='' key=$2; fi
  if [ "$3" != "$dev_set" ] && [ -n "$test_note" ]; then note=(--note "$test_note"); fi
  wer_tables+=("$folder/wer-$3.json")
  step "$1.$2.$3.score" --in "$folder/hyps-$3$hyps.txt" "$model/log_probs/$3.text" --out "$folder/wer-$3.json" \
    "$folder/wer-summary-$3.txt" "$folder/recogs-$3-$key.txt" "$folder/errs-$3-$key.txt" -- \
    python -m mt4ssl.bin.score --ref "$model/log_probs/$3.text" --split "$3" --out "$folder" \
    "${note[@]}"
}

stage 9 emit
for model in "${models[@]}"; do
  folder=$exp_dir/finetune/$model
  averaged=("$folder/averaged-$avg.pt") # written with the log-probs of dev, kept for those of the test sets
  for split in "$dev_set" "${test_sets[@]}"; do
    step "$model.$split" --in "$folder/config.yaml" "$folder/step-*.pt" "$(cuts fbank "$split")" \
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
    for split in "$dev_set" "${test_sets[@]}"; do # the test sets with the weights that are best on dev
      if [ "$split" = "$dev_set" ]; then
        best=()
      else
        best=(--weights-from "$folder/wer-$dev_set.json")
      fi
      log_probs=$exp_dir/finetune/$model/log_probs/$split
      step "$model.$method.$split" --nj "$nj" --in "$log_probs.ark" "$log_probs.scp" "$lang/HLG.pt" \
        "$lang/words.txt" "${rescore[@]:1}" "${best[@]:1}" --out "$folder/hyps-$split-lm_scale_*.txt" -- \
        k2_python.sh -m mt4ssl.bin.decode --log-probs "$log_probs.scp" --lang "$lang" "${rescore[@]}" \
        --method "$method" "${best[@]}" --split "$split" --out "$folder" "${decode_args[@]}"
      score "$model" "$method" "$split"
    done
  done
done

stage 11 report
step results --in "${wer_tables[@]}" "${quality_tables[@]}" "$lm/perplexity.json" "$pretrained" \
  "${models[@]/#/$exp_dir/finetune/}" --out "$exp_dir/RESULTS.md" "$exp_dir/plots" -- \
  python -m mt4ssl.bin.report --exp-dir "$exp_dir" --test-sets "${test_sets[@]}" \
  --lm-scores "$lm/perplexity.json" --out "$exp_dir/RESULTS.md"

stage 12 export
step pretrained --in "$pretrained" --out "$exp_dir/export/pretrained" -- \
  python -m mt4ssl.bin.export --exp "$pretrained" --out "$exp_dir/export/pretrained"
finetuned=$exp_dir/finetune/${models[0]}
step ctc --in "$finetuned/config.yaml" "$finetuned/averaged-$avg.pt" "$finetuned/*/wer-*.json" --out "$exp_dir/export/ctc" -- \
  python -m mt4ssl.bin.export --exp "$finetuned" --out "$exp_dir/export/ctc"
end_stages
