#!/usr/bin/env bats
# shellcheck disable=SC2164,SC2329
# run.sh and utils/new_recipe.sh: what a user sees before anything heavy runs.

setup_file() { # verbs run in forks of a process that has torch already
  local python=$BATS_TEST_DIRNAME/../../.venv/bin/python warm=$BATS_TEST_DIRNAME/../warm_python.py
  "$python" "$warm" serve "$BATS_FILE_TMPDIR/socket" 3>&- &
  export WARM_PYTHON=$!
  until [ -e "$BATS_FILE_TMPDIR/socket" ]; do sleep 0.1; done
  eval "$("$python" "$warm" define "$BATS_FILE_TMPDIR/socket")"
  export -f python
}

teardown_file() { kill "$WARM_PYTHON"; }

setup() {
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
}

@test "--help lists the stages and every option" {
  run "$root/egs/espeak/run.sh" --help
  [ "$status" -eq 0 ]
  [[ $output == *"3 kmeans"*"--stop-stage "*"last stage to run (default: 12)"*"--km-iter "* ]]
  [[ $output == *"--decode-args "*"beams of stage 10"*"(default: --max-active-states 3000)"*"--train-minutes "* ]]
}

@test "a relative path to a script means the same with an exported CDPATH" {
  cp -r "$root/utils" "$root/egs" "$root/tools" .
  mkdir -p elsewhere/egs/espeak elsewhere/utils
  ln -s "$root/.venv" .venv
  export CDPATH=elsewhere:.
  run egs/espeak/run.sh --dry-run true --stage 1 --stop-stage 1
  [[ $status -eq 0 && $output == *"stage 1 (manifests): train_labelled"* ]]
  utils/new_recipe.sh yesno
  mkdir -p elsewhere/yesno
  run yesno/run.sh --dry-run true --stage 1 --stop-stage 1
  [[ $status -eq 0 && $output == *"stage 1 (manifests): test"* ]]
  run grep -rnE "(^|\\$\\()cd [^#]*BASH_SOURCE" "$root/utils" "$root/egs" "$root/tools" "$root/tests" --include=*.sh
  [ -z "$output" ]
}

@test "an unknown option, a wrong value, and an argument that is none are one line each" {
  run "$root/egs/espeak/run.sh" --stop-satge 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: run.sh: unknown option --stop-satge; did you mean --stop-stage? (--help lists all)" ]
  run "$root/egs/espeak/run.sh" --stage three
  [ "$status" -eq 1 ]
  [ "$output" = "error: --stage and --stop-stage take whole numbers, not 'three'" ]
  for option in --nj --ngpu --km-iter --avg --bpe-size; do
    run "$root/egs/espeak/run.sh" "$option" 0
    [ "$status" -eq 1 ]
    [ "$output" = "error: --nj, --ngpu, --km-iter, --avg and --bpe-size take whole numbers from 1, not '0'" ]
  done
  for folder in -x "|touch x" " x" "a*" "[x]" 'a\b' $'a\nb'; do
    for option in --dl-dir --data-dir --exp-dir --pretrained; do
      run "$root/egs/espeak/run.sh" "$option" "$folder"
      [ "$status" -eq 1 ]
      [[ ${#lines[@]} -eq 1 && $output == "error: ${folder@Q} is no name for a folder: "* ]]
    done
  done
  run "$root/egs/mini_librispeech/run.sh" --labelled 2h --finetune-config conf/finetune_1h.yaml
  [ "$status" -eq 1 ]
  [ "$output" = "error: there is no labelled set train_2h: it is one of train_1h, train_all" ]
  run "$root/egs/espeak/run.sh" 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: run.sh takes options only, not '3' (--help lists them)" ]
}

@test "a config or a model that is not there is one line, before anything starts" {
  for option in --pretrain-config --finetune-config; do
    run "$root/egs/espeak/run.sh" "$option" /nowhere/a.yaml
    [ "$status" -eq 1 ]
    [ "$output" = "error: there is no file /nowhere/a.yaml (paths are relative to $root/egs/espeak)" ]
  done
  run "$root/egs/espeak/run.sh" --pretrain-config conf/pretrain.yaml,conf/ofline.yaml
  [ "$output" = "error: there is no file conf/ofline.yaml (paths are relative to $root/egs/espeak)" ]
  run "$root/egs/espeak/run.sh" --pretrained nowhere
  [ "$output" = "error: there is no file nowhere/config.yaml (paths are relative to $root/egs/espeak)" ]
}

@test "a number out of its range is one line, before anything is made of the data" {
  "$root/utils/new_recipe.sh" yesno --size tiny
  check() { # FILE OLD NEW ERROR [OPTION...]
    sed -i.before "s/$2/$3/" "yesno/conf/$1"
    run yesno/run.sh --stage 0 "${@:5}"
    [ "$status" -eq 1 ]
    [ "$output" = "error: $4" ] || { echo "$output" && return 1; }
    mv "yesno/conf/$1.before" "yesno/conf/$1"
  }
  check kmeans.yaml "clusters: .*" "clusters: 0" "conf/kmeans.yaml: clusters is 0: it must be at least 2"
  check kmeans_iter2.yaml "layer: .*" "layer: 99" "conf/kmeans_iter2.yaml: layer is 99: the model has 4" --km-iter 2
  check finetune.yaml "$" "" "loop.updates is 0: it must be at least 1" --finetune-args "--loop.updates 0"
  check finetune.yaml "$" "" "optim.lr is -1: it must be above 0" --scratch-args "--optim.lr -1"
  kept="by loop.keep, updates and save_every, fine-tuning keeps 5 checkpoints: lower it, or change them, with which stage 8 trains again"
  check finetune.yaml "$" "" "--avg is 6: $kept" --avg 6
  check finetune.yaml "$" "" "--avg is 6: $kept" --avg 6 --stage 8 --stop-stage 10
  check finetune.yaml "$" "" "reinit_layers is 99: the pre-trained model has 4 layers" --finetune-args "--reinit-layers 99"
  shares="2 processes cannot share 1 micro-batches: set loop.max_batch_seconds to"
  check finetune.yaml "$" "" "pre-training: $shares 15 or less" --ngpu 2
  check finetune.yaml "$" "" "fine-tuning: $shares 6 or less" --ngpu 2 --stage 6
  check pretrain.yaml "$" "" "mask.prob is 2: it must be at least 0 and at most 1" --pretrain-args "--mask.prob 2"
  sed -i "s/layer: [0-9]*/layer: 99/" yesno/conf/pretrain.yaml
  run yesno/run.sh --stage 0
  [[ $status -eq 1 && ${#lines[@]} -eq 1 && $output == "error: target "*"layer=99"*" needs more layers than the encoder's 4" ]]
  [ ! -e yesno/data ]
}

@test "what depends on the labels: all of it is there, or nothing where the config needs none" {
  options=(--dry-run true --data-dir "$PWD/data" --exp-dir "$PWD/exp")
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 2 --stop-stage 4
  [ "$status" -eq 0 ]
  [[ $output == *"stage 2 (features): mfcc.train"*"stage 3 (kmeans): iter1"*"stage 4 (labels): quality.iter1"* ]]
  online=conf/pretrain.yaml,conf/online.yaml
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 2 --stop-stage 5 --pretrain-config $online
  [ "$status" -eq 0 ]
  [[ $output != *mfcc* && $output != *"stage 3"* && $output != *"stage 4"* ]]
  [[ $output == *"stages 3 (kmeans) and 4 (labels) are left out: no target of $online needs labels"* ]]
  configs="  config   conf/pretrain.yaml"$'\n'"  config   conf/online.yaml"
  [[ $output == *"stage 5 (pretrain): iter1"$'\n'"$configs"$'\n'"  input    $PWD/data/fbank/espeak_cuts_train.jsonl.gz"* ]]
  [[ $output == *"'--config=conf/pretrain.yaml' '--config=conf/online.yaml'"* ]]
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 11 --stop-stage 11 --pretrain-config $online
  [[ $output == *"stage 11 (report): results"* && $output != *quality.json* ]]
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 3 --pretrain-config $online --km-iter 2
  [ "$status" -eq 1 ]
  [ "$output" = "error: --km-iter 2: $online needs no labels: use --km-iter 1" ]
}

@test "a model from elsewhere takes the place of stages 3 to 5, and names the fine-tuned one" {
  mkdir -p hubert data/manifests
  echo "model: {frontend: {type: fbank, dim: 16, kernels: [15], strides: [2]}, encoder: {layers: 2, dim: 16, ffn_dim: 16, heads: 1}}" >hubert/config.yaml
  echo "phones: dev.csv" >data/manifests/dev.yaml
  options=(--dry-run true --pretrained "$PWD/hubert" --exp-dir "$PWD/exp" --data-dir "$PWD/data")
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 2
  [ "$status" -eq 0 ]
  [[ $output != *mfcc* && $output != *"stage 5 (pretrain)"* ]]
  [[ $output == *"stage 8 (finetune): hubert_phone"*"'--pretrained' '$PWD/hubert'"* ]]
  [[ $output == *"0.01 M and 0.02 M that are not trained"* ]]
  [[ $output == *"stage 11 (report): probe.hubert"* && $output != *"stage 12 (export): pretrained"* ]] # it has no weights
  touch hubert/model.safetensors
  run "$root/egs/espeak/run.sh" "${options[@]}" --stage 11 --finetune-cuts tokens
  [[ $output == *"stage 12 (export): pretrained"* && $output != *"stage 11 (report): probe"* ]]
}

@test "what distinguishes scratch comes after --finetune-args" {
  run "$root/egs/espeak/run.sh" --dry-run true --stage 8 --stop-stage 8 --finetune-args "--optim.lr 1e-3" \
    --scratch-args "--optim.lr 2e-3" --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [ "$status" -eq 0 ]
  [[ $output == *"'--optim.lr' '1e-3' '--from-scratch' 'true' '--optim.lr' '2e-3'"* ]]
}

@test "--unit is one of three, and phones need a lexicon" {
  recipe=$root/egs/mini_librispeech/run.sh
  run "$recipe" --dry-run true --stage 6 --stop-stage 6 --unit bpe --bpe-size 200 --data-dir "$PWD/data"
  [[ $status -eq 0 && $output == *"'--unit' 'bpe' '--size' '200' '--out' '$PWD/data/lang_bpe_200'"* ]]
  run "$recipe" --dry-run true --stage 6 --stop-stage 6 --lexicon ""
  [ "$status" -eq 1 ]
  [ "$output" = "error: --unit phone needs --lexicon FILE, or --lexicon cmudict for English" ]
  run "$recipe" --dry-run true --unit syllable
  [ "$output" = "error: --unit is char, bpe or phone, not 'syllable'" ]
}

@test "--rescore false leaves the 4-gram out" {
  run "$root/egs/mini_librispeech/run.sh" --dry-run true --stage 7 --stop-stage 10 --data-dir "$PWD/data"
  [[ $status -eq 0 && $output == *3gram.arpa* && $output != *4gram* && $output != *whole-lattice* ]]
  run "$root/egs/mini_librispeech/run.sh" --dry-run true --stage 7 --stop-stage 10 --data-dir "$PWD/data" --rescore true
  [[ $status -eq 0 && $output == *4gram.arpa* && $output == *whole-lattice* ]]
}

@test "--scratch false leaves the model without pre-training out of stages 8 to 11" {
  run "$root/egs/espeak/run.sh" --dry-run true --stage 9 --stop-stage 10 --exp-dir "$PWD/exp"
  [[ $output == *exp/finetune/scratch_phone/* ]]
  run "$root/egs/espeak/run.sh" --dry-run true --stage 8 --stop-stage 11 --exp-dir "$PWD/exp" --scratch false
  [ "$status" -eq 0 ]
  [[ $output == *exp/finetune/mt4ssl_phone/* && $output != *scratch* ]]
}

@test "--finetune-cuts says what stages 8 and 9 read" {
  run "$root/egs/mini_librispeech/run.sh" --dry-run true --stage 9 --stop-stage 9 --finetune-cuts tokens --data-dir "$PWD/data"
  [ "$status" -eq 0 ]
  [[ $output == *"'--cuts' '$PWD/data/tokens/mini_librispeech_cuts_dev.jsonl.gz'"* && $output != *data/fbank* ]]
}

@test "a measurement is runs of run.sh that differ in targets, seed and subset, and leave data/ alone" {
  cd "$root/egs"
  run mini_librispeech/local/measure.sh --systems "online mt4ssl" --seeds 3 -- --dry-run true --stage 9
  [ "$status" -eq 0 ]
  exp=exp/measure
  for model in online-3/finetune/mt4ssl mt4ssl-3/finetune/mt4ssl mt4ssl-3/finetune/scratch; do
    [[ $output == *"$exp/${model}_phone_train_1h/1best"*"$exp/${model}_phone_train_all/1best"* ]]
  done
  [[ $output != *online-3/finetune/scratch* && $output != *"output   data/"* ]]
}

@test "a stage without what it reads is one line that names the stage that makes it" {
  run "$root/egs/espeak/run.sh" --stage 5 --stop-stage 5 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [ "$status" -eq 1 ]
  [ "$output" = "error: stage 5 (pretrain): $PWD/no data/kmeans/iter1/espeak_cuts_train.jsonl.gz is missing; it is made by stage 4 (labels): run with --stage 4" ]
  run "$root/egs/espeak/run.sh" --stage 10 --stop-stage 10 --data-dir "$PWD/no data" --exp-dir "$PWD/my exp"
  [[ $output == *"is missing; it is made by stage 9 (emit): run with --stage 9" ]]
}

@test "an environment that is not there is one line" {
  cp -r "$root/utils" "$root/egs" .
  run egs/espeak/run.sh --stage 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: there is no environment yet: run $PWD/tools/setup.sh" ]
}

@test "a new recipe, in a path with spaces, has plain configs of its size and finds the repository" {
  for size in tiny small base; do
    "$root/utils/new_recipe.sh" "my recipes/$size" --size "$size"
    (cd "$root/utils/recipe/conf/$size" && echo "corpus.yaml" && ls) | sort >expected
    ls "my recipes/$size/conf" >found
    diff expected found
    diff "$root/utils/recipe/conf/$size/pretrain.yaml" "my recipes/$size/conf/pretrain.yaml"
    run grep -r -e CORPUS -e SIZE "my recipes/$size"
    [ "$status" -eq 1 ]
  done
  run "$root/utils/new_recipe.sh" "my recipes/yesno"
  [ "$status" -eq 0 ]
  [[ $output == "my recipes/yesno is ready: "*conf/corpus.yaml* ]]
  grep -q "^# Size small: about 10 to 200 hours" "my recipes/yesno/conf/pretrain.yaml"
  grep -q "kaldi: /data/yesno/train" "my recipes/yesno/conf/corpus.yaml"
  [ ! -e "my recipes/yesno/local" ]
  run "my recipes/yesno/run.sh" --help
  [ "$status" -eq 0 ]
  [[ $output == *"1 manifests"*"--stop-stage "* ]]
  run "$root/utils/new_recipe.sh" "my recipes/yesno"
  [ "$status" -eq 1 ]
  [ "$output" = "error: my recipes/yesno exists already" ]
  run "$root/utils/new_recipe.sh" other --size large
  [ "$status" -eq 1 ]
  [ "$output" = "error: --size is tiny, small or base, not 'large'" ]
  for arguments in "" "--size" "a b" "--corpus a"; do
    # shellcheck disable=SC2086 # several arguments
    run "$root/utils/new_recipe.sh" $arguments
    [ "$status" -eq 1 ]
    [[ $output == *"Usage: utils/new_recipe.sh DEST"* ]]
  done
  run "$root/utils/new_recipe.sh" "my recipes"
  [ "$status" -eq 1 ]
}

@test "the union of training sets depends on them alone, not on what else is in conf/corpus.yaml" {
  "$root/utils/new_recipe.sh" yesno
  sed -i 's/^train_sets=.*/train_sets="dev train"/; s/^dev_set=.*/dev_set=test/' yesno/run.sh
  run yesno/run.sh --dry-run true --stage 1 --stop-stage 1
  [ "$status" -eq 0 ]
  start=data/manifests/yesno
  union="stage 1 (manifests): dev+train"
  for split in dev train; do
    for kind in recordings supervisions; do union+=$'\n'"  input    ${start}_${kind}_$split.jsonl.gz"; done
  done
  [[ $output == *"$union"$'\n'"  output   ${start}_recordings_dev+train.jsonl.gz"* ]]
}

@test "splits and options may stand on several lines, with any spaces between them" {
  "$root/utils/new_recipe.sh" yesno
  sed -i 's/^train_sets=.*/train_sets=" dev  train "/; s/^labelled_set=.*/labelled_set=train/' yesno/run.sh
  sed -i 's/^dev_set=.*/labelled_sets="train\n  dev"\ndev_set=test/; s/^test_sets=.*/test_sets="one\n  two"/' yesno/run.sh
  run yesno/run.sh --dry-run true --stage 8 --stop-stage 10 --finetune-args $'--optim.lr 1\n --loop.seed 3' \
    --decode-args $'--search-beam 9\n--output-beam 4'
  [ "$status" -eq 0 ]
  [[ $output == *"'--optim.lr' '1' '--loop.seed' '3'"*".two.score"*"'--search-beam' '9' '--output-beam' '4'"* ]]
  run yesno/run.sh --dry-run true --stage 2 --stop-stage 2
  [[ $status -eq 0 && $output == *"stage 2 (features): fbank.dev+train"$'\n'* ]]
}

@test "a part of a split that is not there is one line" {
  "$root/utils/new_recipe.sh" yesno
  sed -i 's/^  train: .*/  train: {part_of: trian, ids: conf}/' yesno/conf/corpus.yaml
  run yesno/run.sh --dry-run true --stage 1 --stop-stage 1
  [ "$status" -eq 1 ]
  [ "$output" = "error: conf/corpus.yaml has no split 'trian': it has train, dev, test" ]
}

@test "a split that is not in conf/corpus.yaml is one line, before any other is read" {
  "$root/utils/new_recipe.sh" yesno
  sed -i 's/^test_sets=.*/test_sets="test tset"/' yesno/run.sh
  run yesno/run.sh --stage 1 --stop-stage 1
  [ "$status" -eq 1 ]
  [ "$output" = "error: conf/corpus.yaml has no split 'tset': it has train, dev, test" ]
}

@test "a dry run says what the data stages take, and memory of a GPU grows unless the user has set it" {
  run "$root/egs/espeak/run.sh" --dry-run true --stage 2 --stop-stage 2 --data-dir "$PWD/data" --exp-dir "$PWD/exp"
  [ "$status" -eq 0 ]
  [[ $output == *"plan of every 1000 hours"*"2 mfcc "*"4 labels "* ]]
  "$root/utils/new_recipe.sh" yesno
  mkdir yesno/local
  cat >yesno/local/data.sh <<'END_OF_SCRIPT'
#!/bin/sh
echo "allocator $PYTORCH_ALLOC_CONF" && mkdir -p "$2/yesno"
END_OF_SCRIPT
  chmod +x yesno/local/data.sh
  run yesno/run.sh --stage 0 --stop-stage 0
  [[ $status -eq 0 && $output == *"allocator expandable_segments:True"* ]]
  PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:64 run yesno/run.sh --stage 0 --stop-stage 0 --dl-dir elsewhere
  [[ $status -eq 0 && $output == *"allocator max_split_size_mb:64"* ]]
}
