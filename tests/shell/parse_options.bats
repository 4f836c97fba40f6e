#!/usr/bin/env bats
# utils/parse_options.sh, through a small script in a folder with a space in its name.
# shellcheck disable=SC2164,SC2016

setup() {
  cd "$BATS_TEST_TMPDIR"
  mkdir "my scripts"
  script="my scripts/demo.sh"
  cat >"$script" <<'END'
#!/usr/bin/env bash
# Shows its options.
# Second line.
set -euo pipefail

stop_stage=12  # last stage
train_args=  # overrides
clean=false  # start anew

here=$(pwd)
. "$UTILS/parse_options.sh"
not_an_option=1
echo "$stop_stage|$train_args|$clean|$here|$not_an_option|$*"
END
  export UTILS=$BATS_TEST_DIRNAME/../../utils
}

fails_with() {
  run bash "$script" "${@:2}"
  [ "$status" -eq 1 ]
  [ "$output" = "error: demo.sh: $1" ]
}

@test "options keep their defaults" {
  run bash "$script"
  [ "$output" = "12||false|$PWD|1|" ]
}

@test "both ways to write an option, values with spaces and dashes, what is left over" {
  run bash "$script" --stop-stage 5 --train-args="--lr 1 --k=v" --clean true first "second word"
  [ "$output" = "5|--lr 1 --k=v|true|$PWD|1|first second word" ]
  run bash "$script" --train-args "--lr 1"
  [ "$output" = "12|--lr 1|false|$PWD|1|" ]
  run bash "$script" -- --stop-stage
  [ "$output" = "12||false|$PWD|1|--stop-stage" ]
}

@test "--config reads name=value lines, later options win" {
  printf '# a comment\n\nstop_stage=7\ntrain_args=a $(b) c' >my.conf
  run bash "$script" --config my.conf --stop-stage 8
  [ "$output" = '8|a $(b) c|false|'"$PWD|1|" ]
}

@test "--help shows the comment at the top and every option" {
  run bash "$script" --help
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = "Shows its options." ]
  [ "${lines[1]}" = "Second line." ]
  [[ $output == *"--stop-stage "*"last stage (default: 12)"* ]]
  [[ $output != *"not-an-option"* && $output != *"--here"* ]]
}

@test "options of a file that the script sources first: its order, the script's defaults, the script's comments if any" {
  cat >shared.sh <<'END'
options_files+=("${BASH_SOURCE[0]}")
nj=2  # processes
stop_stage=5  # stage to stop after
END
  sed -i 's/^clean=.*/&\nnj=8/; s/^set -.*/&\n. .\/shared.sh/' "$script"
  run bash "$script" --help
  [ "$status" -eq 0 ]
  options="$(sed -n '/^Options/,$ p' <<<"$output" | tail -n +2 | tr -s ' ')"
  [ "$options" = " --nj processes (default: 8)
 --stop-stage last stage (default: 12)
 --train-args overrides (default: none)
 --clean start anew (default: false)" ]
  fails_with "unknown option --njj; did you mean --nj? (--help lists all)" --njj 3
}

@test "an unknown option is one line with the nearest name" {
  fails_with "unknown option --stop-satge; did you mean --stop-stage? (--help lists all)" --stop-satge 3
  fails_with "unknown option --trainargs; did you mean --train-args? (--help lists all)" --trainargs=3
  fails_with "unknown option -clean; did you mean --clean? (--help lists all)" -clean true
  for option in --PATH --not-an-option --clea. "--.*"; do
    run bash "$script" "$option" x
    [ "$status" -eq 1 ]
    [[ $output == "error: demo.sh: unknown option $option; did you mean "* ]]
  done
}

@test "a wrong value is one line" {
  fails_with "--clean takes true or false, not 'yes'" --clean yes
  fails_with "--stop-stage needs a value" --stop-stage
  fails_with "--config: there is no file none.conf" --config none.conf
  echo "stop-stage 3" >my.conf
  fails_with "my.conf: expected name=value, found 'stop-stage 3'" --config my.conf
  echo "stopstage=3" >my.conf
  fails_with "unknown option stopstage in my.conf; did you mean --stop-stage? (--help lists all)" --config my.conf
}
