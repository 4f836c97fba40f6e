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
# part of its identity, since results do not depend on them, nor are those options of a training that change no result,
# and files of --dev, which it validates on and which must be there. With --beside N a step runs on N threads beside those
# that follow, until wait_for_steps, and has a log of its own. Steps of stages that are not selected are only noted as
# makers of files. With dry_run=true, steps are shown, and nothing is run.
#
# SIGTERM, SIGHUP and SIGINT are passed on to what runs, which is waited for: a training saves first. However a run ends,
# SIGKILL included, what it started is ended, and exp/done/.lock held until then.
#
# exp/done/<stage>.<step> records the command, the content of its config, size and time of its inputs and, once it has
# succeeded, of its outputs. As long as all of that holds, the step is skipped. When it no longer holds, the outputs are
# removed first, so that nothing resumes from what another config made; those of a training, which took hours, are moved
# to exp/old/, unless all that is new is its length or --loop.max_batch_seconds. A step that was interrupted, and is the
# same still, keeps its outputs and may resume. Only outputs in $data_dir and $exp_dir that this step made are ever
# removed.

: "${stage:?}" "${stop_stage:?}" "${data_dir:?}" "${exp_dir:?}"
declare -A made_by=() wall_time=() ran=() # the last two by the number of a stage, which may come in several parts
stage_number='' stage_name='' stage_file='' steps_run=0 steps_skipped=0
named=() # records of steps whose time is not in wall_time yet
# By the process of each command that runs: when it began, and what copies its output into the log; the name and the
# outputs of a step that runs beside others.
declare -A begun=() tees=() beside=()
started='' stop_status=0 # the process that started last; the status that a signal to this run asks for
# shellcheck source=lock.sh
. "${BASH_SOURCE[0]%/*}/lock.sh"
if [ "${dry_run:=false}" = false ]; then take_lock; fi

# stage NUMBER NAME: the steps that follow belong to this stage
stage() {
  end_stages
  stage_number=$1 stage_name=$2 steps_run=0 steps_skipped=0
  printf -v stage_file '%02d_%s' "$1" "$2"
}

# Closes the last stage: says what was done, and notes for the report how long this run's steps of it took, now or before.
end_stages() {
  local durations=$exp_dir/log/durations.tsv
  if [ $((steps_run + steps_skipped)) -eq 0 ]; then return; fi
  add_seconds
  if [ "$steps_run" -gt 0 ]; then
    ran[$stage_number]=true
    say "done: $steps_run run, $steps_skipped up to date, ${wall_time[$stage_number]} s in all"
  else
    say "up to date"
  fi
  [ -n "${ran[$stage_number]:-}" ] || return 0
  { grep -svP "^$stage_number\t" "$durations" || true; } >"$durations.tmp"
  printf '%s\t%s\t%s\n' "$stage_number" "$stage_name" "${wall_time[$stage_number]}" >>"$durations.tmp"
  sort -n -o "$durations.tmp" "$durations.tmp" && mv "$durations.tmp" "$durations"
}

# Adds the time of the steps named since the last call to the stage's; of those beside each other, that of the longest.
add_seconds() {
  local seconds
  seconds=$(cat /dev/null "${named[@]}" | awk '
    $1 == "seconds" { sum += $2 }
    $1 == "beside" && $2 > longest { longest = $2 }
    END { print sum + longest }')
  wall_time[$stage_number]=$((${wall_time[$stage_number]:-0} + seconds))
  named=()
}

# step NAME [--conf PATH...] [--in PATH...] [--dev PATH...] [--out PATH...] [--nj N] [--ngpu N] [--beside N] -- COMMAND...
# The functions it calls see its variables: confs, inputs, devs, outputs, unrecorded, processes, command, record, now.
step() {
  local name=$1 option='' path reason confs=() inputs=() devs=() outputs=() unrecorded=() processes='' threads='' command
  local record=$exp_dir/done/$stage_file.$1 now=$exp_dir/done/.now
  shift
  while [ "$1" != -- ]; do
    case $option,$1 in
      *,--conf | *,--in | *,--dev | *,--out | *,--nj | *,--ngpu | *,--beside) option=$1 ;;
      *,--* | ,*) stage_error "$name: step takes --conf, --in, --dev, --out, --nj, --ngpu and --beside, not '$1'" ;;
      --conf,*) confs+=("$1") ;;
      --in,*) inputs+=("$1") ;;
      --dev,*) devs+=("$1") ;;
      --out,*) outputs+=("$1") made_by[$1]="$stage_number ($stage_name)" ;;
      --nj,*) unrecorded=(--nj "$1") ;;
      --ngpu,*) processes=$1 ;;
      --beside,*) threads=$1 ;;
    esac
    shift
  done
  shift
  if ! selected; then return; fi
  if [ "$dry_run" = true ]; then show_step "$@"; return; fi
  named+=("$record")

  for path in "${confs[@]}" "${inputs[@]}" "${devs[@]}"; do require "$path"; done
  identity "$@" >"$now" || stage_error "$(not_noted)"
  reason=$(difference)
  if [ -z "$reason" ]; then
    steps_skipped=$((steps_skipped + 1))
    return
  fi
  say "$name ($reason)"
  if ! cmp -s "$record.started" "$now"; then
    if [ -f "$record" ] || [ -f "$record.started" ]; then
      if [ -z "$processes" ]; then remove_outputs; elif ! goes_on; then set_aside; fi
    fi
    mv "$now" "$record.started"
  fi
  rm -f "$record"
  full_command "$@"
  steps_run=$((steps_run + 1))
  start "$(log_of "$name" "$threads")"
  if [ -n "$threads" ]; then
    beside[$started]=$(printf '%s\n' "$name" "${outputs[@]}")
  else
    finish "$started" '' "$name" "${outputs[@]}" || exit
    [ "$stop_status" -eq 0 ] || exit "$stop_status"
  fi
}

# finish PROCESS BESIDE NAME OUTPUT...: waits for the command of a step, and notes that it is done, and how long it took.
finish() {
  local process=$1 word=seconds name=$3 log path seconds status=0
  local record=$exp_dir/done/$stage_file.$3 new=$exp_dir/done/.new
  if [ -n "$2" ]; then word=beside; fi
  log=$(log_of "$name" "$2")
  shift 3
  await "$process" "$log" || status=$?
  seconds=$((($(since_boot) - begun[$process]) / 100))
  unset "begun[$process]"
  if [ "$status" -ne 0 ]; then
    complain "$name ended with status $status; the log is $log"
    return $((stop_status > 0 ? stop_status : status))
  fi
  for path; do
    expand "$path" >/dev/null || { complain "$name ended well but did not make $path" && return 1; }
  done
  # Not in what was started, in which a run that is killed, or a full disk, would leave half of it.
  if { cat "$record.started" && echo "$word $seconds" && list_files out "$@"; } >"$new" && mv "$new" "$record"; then
    rm "$record.started"
  else
    complain "$(not_noted)"
    return 1
  fi
}

# Returns when the steps that run beside each other have ended; stops if one of them failed.
wait_for_steps() {
  local process arguments status=0 failed=()
  for process in "${!beside[@]}"; do
    mapfile -t arguments <<<"${beside[$process]}"
    finish "$process" beside "${arguments[@]}" || { status=$? && failed+=("${arguments[0]}"); }
  done
  beside=()
  [ "$status" -eq 0 ] || stage_error "not done: ${failed[*]}; see above" "$status"
  [ "$stop_status" -eq 0 ] || exit "$stop_status"
  add_seconds
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
  [ ${#inputs[@]} -eq 0 ] || printf '  input    %s\n' "${inputs[@]}" "${devs[@]}"
  printf '  output   %s\n' "${outputs[@]}"
  echo "  command  ${command[*]@Q}"
}

say() { echo "stage $stage_number ($stage_name): $1"; }

complain() { echo "error: $(say "$1")" >&2; }

not_noted() { echo "cannot note in $exp_dir/done what is read and made: see above, then run the same command again"; }

# Hundredths of a second since the machine started: somebody may set the clock.
since_boot() {
  local up
  read -r up _ </proc/uptime
  echo "${up/./}"
}

stage_error() {
  complain "$1"
  exit "${2:-1}"
}

log_of() { echo "$exp_dir/log/stage$stage_file${2:+.$1}.log"; } # log_of NAME BESIDE: steps beside others have their own

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
  local text="command ${*@Q}" free=$free_options
  [[ $text == *" 'mt4ssl.bin.finetune' "* ]] || free+="|$saved_options"
  [ -z "$processes" ] || text=$(without "$free" "$text")
  echo "$text" && list_contents "${confs[@]}" && list_files in "${inputs[@]}"
}

# recorded_identity RECORD: what `identity` printed when that was written, without what has been noted since, and without
# files that have become those of --dev
recorded_identity() { grep -v -e '^out ' -e '^seconds ' -e '^beside ' "${devs[@]/#/-e^in .* }" "$1"; }

# without OPTIONS TEXT: the quoted command in TEXT without these options of a training's loop, a pattern, and their values
without() { sed -E "s/ '--loop\.($1)(=[^']*'|' '[^']*')//g" <<<"$2"; }
free_options='workers|log.every|validate.every|save.minutes|max.skipped' # no result depends on them
saved_options='save.every|keep'          # nor on these, but that stage 9 averages what a fine-tuning saved
open_options='updates|max.batch.seconds' # a training goes on with others

# Whether nothing has changed but open options of a training, which says what of them it can go on with.
goes_on() {
  local before=$record
  [ -f "$before" ] || before=$record.started
  before=$(recorded_identity "$before")
  [ "$(without "$open_options" "$before")" = "$(without "$open_options" "$(<"$now")")" ]
}

# Prints the first thing that is not as recorded; nothing when the step can be skipped.
difference() {
  local -x LC_ALL=C
  local path
  if cmp -s "$record.started" "$now"; then echo "goes on where it was interrupted" && return; fi
  if [ ! -f "$record" ]; then echo "new" && return; fi
  {
    comm -3 <(recorded_identity "$record" | sort) <(sort "$now")
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
    [[ $path == "$data_dir"/* || $path == "$exp_dir"/* ]] || continue
    mapfile -t files < <(expand "$path")
    rm -rf "${files[@]}"
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

# start LOG: starts $command, as the process $started, with what it prints on the terminal and in the log. It leads a group
# of processes; only script(1) does not, which keeps a terminal a terminal, so that progress bars show. Steps beside each
# other have none: they would write over each other's.
start() {
  local copy tee=''
  echo "\$ ${command[*]@Q}" >>"$1" || stage_error "$(not_noted)"
  if [ -z "$threads" ] && [ -t 1 ] && [[ $(script --version 2>/dev/null) == *util-linux* ]]; then
    (
      trap - INT QUIT # which a shell ignores in the background
      echo "begin $BASHPID" >&"$guard"
      SHELL=$BASH exec script --quiet --return --append --command "${command[*]@Q}" "$1" {driver_lock}>&- {guard}>&-
    ) <&0 &
    started=$!
  else
    exec {copy}> >(trap '' TERM HUP INT && exec tee -a "$1" {driver_lock}>&- {guard}>&-)
    tee=$!
    (
      trap - INT QUIT
      echo "begin $BASHPID" >&"$guard"
      [ -z "$threads" ] || export OMP_NUM_THREADS=$threads
      # shellcheck disable=SC2016 # the command may be a function of bash, which setsid does not know
      exec setsid "$BASH" -c '"$@"' "$name" "${command[@]}" >&"$copy" 2>&1 {copy}>&- {driver_lock}>&- {guard}>&-
    ) &
    started=$!
    exec {copy}>&-
  fi
  begun[$started]=$(since_boot) tees[$started]=$tee
}

# await PROCESS LOG: returns the status of a command, once all that it started has ended and the log is whole.
await() {
  local status
  while true; do
    wait "$1" && status=0 || status=$?
    kill -0 "$1" 2>/dev/null || break # a signal to this shell ends the wait, and not the process
  done
  kill -TERM -- "-$1" 2>/dev/null || true # what it left
  if [ -n "${tees[$1]}" ]; then
    wait "${tees[$1]}" || true
  else # of a bar its last state, and nothing of the frame that script(1) adds
    sed -i -e 's/\r*$//; s/.*\r//; /^Script started on /d' -e '/^$/ { N; /\nScript done on /d }' "$2"
  fi
  echo "end $1" >&"$guard"
  return "$status"
}

# send SIGNAL PROCESS: to its whole group, if there is still one
send() { kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null || true; }

# pass_on SIGNAL STATUS: to all that runs; when that has ended, this run does, with the status.
pass_on() {
  local process
  stop_status=$2
  [ ${#begun[@]} -gt 0 ] || exit "$2"
  for process in "${!begun[@]}"; do send "$1" "$process"; done
}

# Ends what runs when this shell is gone, whatever ended it, and keeps the lock until then. It is told what begins and ends.
watch_over() {
  local -A groups=()
  local what process status
  trap '' TERM HUP INT
  while true; do
    read -r -t 30 what process && status=0 || status=$?
    if [ "$status" -gt 128 ]; then # nothing to read yet
      show_life
    elif [ "$status" -ne 0 ]; then
      break
    elif [ "$what" = begin ]; then
      groups[$process]=
    else
      unset "groups[$process]"
    fi
  done
  for process in "${!groups[@]}"; do send TERM "$process"; done
  for process in "${!groups[@]}"; do
    while grep -q '^State:\s*[^XZ]' "/proc/$process/status" 2>/dev/null; do
      show_life
      sleep 0.1
    done
  done
  release_lock
}

if [ "$dry_run" = false ]; then
  # In a session of its own, so that it outlives a signal to all processes of this one.
  functions=$(declare -f send show_life release_lock watch_over)
  exec {guard}> >(exec setsid "$BASH" -c "$functions; driver_lock=$driver_lock watch_over")
  trap 'pass_on TERM 143' TERM
  trap 'pass_on TERM 129' HUP
  trap 'pass_on INT 130' INT
fi
