# shellcheck shell=bash
# The stage driver: runs what is new or stale, and nothing else. It needs $stage, $stop_stage, $data_dir and $exp_dir.
#
#   stage 3 kmeans
#   step iter1 --conf conf/kmeans.yaml --in data/mfcc/cuts.jsonl.gz --out exp/kmeans/iter1 -- \
#     python -m mt4ssl.bin.train_kmeans --config conf/kmeans.yaml --out exp/kmeans/iter1
#   end_stages
#
# --in, --out and --conf take files, folders or quoted patterns; of --conf it is the content that counts, and not the
# time. --nj N is appended to the command, --ngpu N, of a training, starts its `python -m` through torchrun; they are no
# part of its identity, since results do not depend on them. With --beside N a step runs on N threads beside those that
# follow, until wait_for_steps, and has a log of its own. Steps of stages that are not selected are only noted as makers of
# files. With dry_run=true, steps are shown, and nothing is run.
#
# exp/done/<stage>.<step> records the command, the content of its config, size and time of its inputs and, once it has
# succeeded, of its outputs. As long as all of that holds, the step is skipped. When it no longer holds, the outputs are
# removed first, so that nothing resumes from what another config made; those of a training, which took hours, are moved
# to exp/old/. A step that was interrupted, and is the same still, keeps its outputs and may resume. Only outputs in
# $data_dir and $exp_dir that this step made are ever removed.

: "${stage:?}" "${stop_stage:?}" "${data_dir:?}" "${exp_dir:?}"
declare -A made_by=()
stage_number='' stage_name='' stage_file='' steps_run=0 steps_skipped=0
declare -A beside=() # the names of the steps that run in the background, by their process
if [ "${dry_run:=false}" = false ]; then
  mkdir -p "$exp_dir/done" "$exp_dir/log"
  exec {driver_lock}>"$exp_dir/done/.lock"
  if ! flock --nonblock "$driver_lock"; then
    echo "error: another run is at work in $exp_dir: wait for it, or choose another --exp-dir" >&2
    exit 1
  fi
fi

# stage NUMBER NAME: the steps that follow belong to this stage
stage() {
  end_stages
  stage_number=$1 stage_name=$2 steps_run=0 steps_skipped=0
  printf -v stage_file '%02d_%s' "$1" "$2"
}

# Closes the last stage: says what was done, and notes the wall time of all its steps for the report.
end_stages() {
  if [ "$steps_run" -gt 0 ]; then
    local seconds durations=$exp_dir/log/durations.tsv
    seconds=$(cat "$exp_dir/done/$stage_file".* | awk '
      $1 == "seconds" { sum += $2 }
      $1 == "beside" && $2 > longest { longest = $2 } # of steps at the same time
      END { print sum + longest }')
    touch "$durations"
    {
      awk -v number="$stage_number" '$1 != number' "$durations"
      printf '%s\t%s\t%s\n' "$stage_number" "$stage_name" "$seconds"
    } | sort -n >"$durations.tmp"
    mv "$durations.tmp" "$durations"
    say "done: $steps_run run, $steps_skipped up to date, $seconds s in all"
  elif [ "$steps_skipped" -gt 0 ]; then
    say "up to date"
  fi
}

# step NAME [--conf PATH...] [--in PATH...] [--out PATH...] [--nj N] [--ngpu N] [--beside N] -- COMMAND...
# The functions it calls see its variables: confs, inputs, outputs, unrecorded, processes, command, record, now.
step() {
  local name=$1 option='' path reason confs=() inputs=() outputs=() unrecorded=() processes='' threads='' command
  local record=$exp_dir/done/$stage_file.$1 now=$exp_dir/done/.now
  shift
  while [ "$1" != -- ]; do
    case $option,$1 in
      *,--conf | *,--in | *,--out | *,--nj | *,--ngpu | *,--beside) option=$1 ;;
      *,--* | ,*) stage_error "$name: step takes --conf, --in, --out, --nj, --ngpu and --beside, not '$1'" ;;
      --conf,*) confs+=("$1") ;;
      --in,*) inputs+=("$1") ;;
      --out,*) outputs+=("$1") made_by[$1]="$stage_number ($stage_name)" ;;
      --nj,*) unrecorded=(--nj "$1") ;;
      --ngpu,*) processes=$1 ;;
      --beside,*) threads=$1 ;;
    esac
    shift
  done
  shift
  if ! selected; then return; fi
  if [ "$dry_run" = true ]; then
    show_step "$@"
    return
  fi

  for path in "${confs[@]}" "${inputs[@]}"; do require "$path"; done
  identity "$@" >"$now"
  reason=$(difference)
  if [ -z "$reason" ]; then
    steps_skipped=$((steps_skipped + 1))
    return
  fi
  say "$name ($reason)"
  if ! cmp -s "$record.started" "$now"; then
    if [ -f "$record" ] || [ -f "$record.started" ]; then
      if [ -n "$processes" ]; then set_aside; else remove_outputs; fi
    fi
    mv "$now" "$record.started"
  fi
  rm -f "$record"
  full_command "$@"
  steps_run=$((steps_run + 1))
  if [ -n "$threads" ]; then
    finish_beside &
    beside[$!]=$name
  else
    finish "$exp_dir/log/stage$stage_file.log"
  fi
}

# finish LOG: runs the command of a step and notes that it is done.
finish() {
  local path
  run_logged "$1" "${command[@]}"
  for path in "${outputs[@]}"; do
    expand "$path" >/dev/null || stage_error "$name ended well but did not make $path"
  done
  list_files out "${outputs[@]}" >>"$record.started"
  mv "$record.started" "$record"
}

# The same in the background: Ctrl-C still ends it, and there are no progress bars, which would write over each other's.
finish_beside() {
  trap - INT
  export OMP_NUM_THREADS=$threads
  finish "$exp_dir/log/stage$stage_file.$name.log" | cat
}

# Returns when the steps that run beside each other have ended; stops if one of them failed.
wait_for_steps() {
  local process status=0 failed=()
  for process in "${!beside[@]}"; do
    wait "$process" || { status=$? && failed+=("${beside[$process]}"); }
  done
  beside=()
  [ "$status" -eq 0 ] || stage_error "not done: ${failed[*]}; see above" "$status"
}

# Whether the stage at hand is one of those to run.
selected() { [ "$stage" -le "$stage_number" ] && [ "$stage_number" -le "$stop_stage" ]; }

# full_command COMMAND...: sets $command to what is run, on as many processes as asked for. In a Slurm job of several
# nodes, torchrun is started on each.
full_command() {
  command=("$@" "${unrecorded[@]}")
  if [ -n "$processes" ] && [ "${SLURM_NNODES:-1}" -gt 1 ]; then
    command=(
      srun --ntasks-per-node 1 torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$processes" --rdzv-backend c10d
      --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$(hostname):29500" "${command[@]:1}"
    )
  elif [ "${processes:-1}" -gt 1 ]; then
    command=(torchrun --standalone --nproc-per-node "$processes" "${command[@]:1}")
  fi
}

# show_step COMMAND...: what it would read, write and run
show_step() {
  local command
  full_command "$@"
  say "$name"
  [ ${#confs[@]} -eq 0 ] || printf '  config   %s\n' "${confs[@]}"
  [ ${#inputs[@]} -eq 0 ] || printf '  input    %s\n' "${inputs[@]}"
  printf '  output   %s\n' "${outputs[@]}"
  echo "  command  ${command[*]@Q}"
}

say() { echo "stage $stage_number ($stage_name): $1"; }

stage_error() {
  echo "error: $(say "$1")" >&2
  exit "${2:-1}"
}

# expand PATTERN: the existing paths it stands for, one a line; fails when there is none
expand() { if [ -e "$1" ]; then echo "$1"; else compgen -G "$1"; fi; }

# expand_all PATTERN...: what there is of all of them
expand_all() {
  local pattern
  for pattern; do expand "$pattern" || true; done
}

# list_files WORD PATTERN...: a line "WORD size time path" for every file there, in folders too
list_files() {
  local word=$1 paths
  mapfile -t paths < <(expand_all "${@:2}")
  [ ${#paths[@]} -eq 0 ] || find -L "${paths[@]}" ! -type d -printf "$word %s %T@ %p\n" | LC_ALL=C sort
}

# list_contents PATTERN...: a line "conf hash sha256 path" for every file there, in folders too
list_contents() {
  local paths
  mapfile -t paths < <(expand_all "$@")
  [ ${#paths[@]} -eq 0 ] || find -L "${paths[@]}" -type f ! -path '*/__pycache__/*' -exec sha256sum {} + |
    sed 's/ / sha256/; s/^/conf /' | LC_ALL=C sort -k 4
}

# require PATTERN: stops, naming the stage that makes it, unless it exists
require() {
  if expand "$1" >/dev/null; then return; fi
  local maker=$1
  while [ -z "${made_by[$maker]:-}" ] && [[ $maker == ?*/* ]]; do maker=${maker%/*}; done
  maker=${made_by[${maker:-/}]:-}
  stage_error "$1 is missing${maker:+; it is made by stage $maker: run with --stage ${maker%% *}}"
}

# identity COMMAND...: all that must stay the same for the outputs to stay good
identity() {
  echo "command ${*@Q}"
  list_contents "${confs[@]}"
  list_files in "${inputs[@]}"
}

# Prints the first thing that is not as recorded; nothing when the step can be skipped.
difference() {
  local -x LC_ALL=C
  local path
  if cmp -s "$record.started" "$now"; then
    echo "goes on where it was interrupted"
    return
  elif [ ! -f "$record" ]; then
    echo "new"
    return
  fi
  {
    comm -3 <(grep -v -e '^out ' -e '^seconds ' -e '^beside ' "$record" | sort) <(sort "$now")
    for path in "${outputs[@]}"; do expand "$path" >/dev/null || echo "out 0 0 $path"; done
    comm -23 <(grep '^out ' "$record") <(list_files out "${outputs[@]}")
  } | awk 'NR == 1 {
    what = $1
    sub(/^\t?[^ ]+ [^ ]+ [^ ]+ /, "")
    print (what == "command" ? "its command has" : $0 (what == "out" ? " is gone or has" : " has")) " changed"
  }'
}

remove_outputs() {
  local path files
  for path in "${outputs[@]}"; do
    case $path in
      "$data_dir"/* | "$exp_dir"/*)
        mapfile -t files < <(expand "$path")
        rm -rf "${files[@]}"
        ;;
    esac
  done
}

# Moves the outputs of a training to exp/old/ and the time of day, where they are found again.
set_aside() {
  local path old
  old=$exp_dir/old/$(date +%Y-%m-%d_%H.%M.%S)
  for path in "${outputs[@]}"; do
    if [[ $path == "$exp_dir"/* ]] && [ -e "$path" ]; then
      mkdir -p "$old/$(dirname "${path#"$exp_dir/"}")"
      mv "$path" "$old/${path#"$exp_dir/"}"
      say "what was in $path is now in $old"
    fi
  done
}

# run_logged LOG COMMAND...: on the terminal and in the log; notes the time it took
run_logged() {
  local log=$1 begin=${EPOCHREALTIME/[.,]/} status word
  shift
  echo "\$ ${*@Q}" >>"$log"
  set +e
  if [ -t 1 ] && [[ $(script --version 2>/dev/null) == *util-linux* ]]; then # a terminal, where progress bars show
    SHELL=$BASH script --quiet --return --append --command "${*@Q}" "$log" {driver_lock}>&-
    status=$?
    # In the log, of a bar its last state, and nothing of the frame that script(1) adds.
    sed -i -e 's/\r*$//; s/.*\r//; /^Script started on /d' -e '/^$/ { N; /\nScript done on /d }' "$log"
  else
    "$@" {driver_lock}>&- 2>&1 | tee -a "$log"
    status=${PIPESTATUS[0]}
  fi
  set -e
  [ "$status" -eq 0 ] || stage_error "$name ended with status $status; the log is $log" "$status"
  if [ -n "$threads" ]; then word=beside; else word=seconds; fi
  echo "$word $(((${EPOCHREALTIME/[.,]/} - begin) / 1000000))" >>"$record.started"
}
