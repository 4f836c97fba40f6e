#!/usr/bin/env bats
# The stage driver, utils/stage.sh, through a recipe of three stages that copy files and write their names to "ran".
# shellcheck disable=SC2164

setup() {
  mkdir "$BATS_TEST_TMPDIR/a recipe"
  cd "$BATS_TEST_TMPDIR/a recipe"
  export UTILS=$BATS_TEST_DIRNAME/../../utils
  echo corpus >corpus.txt
  echo "k: 100" >kmeans.yaml
  # copy.sh INPUT OUTPUT [--nj N]
  cat >copy.sh <<'END'
echo "$2" >>ran
if [ -e "$2" ]; then echo resumed >>ran; fi
mkdir -p "$(dirname "$2")"
cat "$1" >"$2"
if [ -e fail ]; then
  echo "bad luck"
  exit 3
fi
END
  cat >both.sh <<'END'
bash copy.sh exp/kmeans/centroids exp/train/a
bash copy.sh corpus.txt exp/train/b
END
  cat >recipe.sh <<'END'
set -euo pipefail
data_dir=data exp_dir=exp stage=$1 stop_stage=$2 nj=${nj:-1}
. "$UTILS/stage.sh"
stage 1 features
step dev --in corpus.txt --out data/dev.txt --nj "$nj" -- bash copy.sh corpus.txt data/dev.txt
stage 2 kmeans
step iter1 --conf kmeans.yaml --in data/dev.txt --out exp/kmeans -- bash copy.sh kmeans.yaml exp/kmeans/centroids
step table --in "exp/kmeans/cent*" --out exp/table.txt -- bash copy.sh exp/kmeans/centroids exp/table.txt
stage 3 train
step model --in exp/kmeans corpus.txt --out exp/train ${ngpu:+--ngpu "$ngpu"} -- bash both.sh
end_stages
END
}

# Runs stages $1 to $2; $output is what was printed, $ran the files made, one word each.
recipe() {
  : >ran
  run bash recipe.sh "${1:-1}" "${2:-3}"
  ran=$(xargs <ran)
}

everything="data/dev.txt exp/kmeans/centroids exp/table.txt exp/train/a exp/train/b"

@test "everything runs once; then nothing does" {
  recipe
  [ "$status" -eq 0 ]
  [ "$ran" = "$everything" ]
  recipe
  [ "$status" -eq 0 ]
  [ -z "$ran" ]
  [ "${lines[1]}" = "stage 2 (kmeans): up to date" ]
}

@test "a deleted output is made again, and what depends on it, nothing else" {
  recipe
  rm exp/table.txt
  recipe
  [ "$ran" = exp/table.txt ]
  rm exp/kmeans/centroids
  recipe
  [ "$ran" = "exp/kmeans/centroids exp/table.txt exp/train/a exp/train/b" ]
}

@test "one file that is deleted, or changed, in an output folder is noticed" {
  recipe
  rm exp/train/b
  recipe
  [ "$ran" = "exp/train/a exp/train/b" ]
  [[ $output == *"model (exp/train/b is gone or has changed)"* ]]
  echo more >>exp/train/a
  recipe
  [ "$ran" = "exp/train/a exp/train/b" ]
}

@test "a file that something else adds to an output folder is no reason" {
  recipe
  touch exp/train/notes
  recipe
  [ -z "$ran" ]
}

@test "a changed config, command or input makes stale what depends on it" {
  recipe
  echo "k: 200" >kmeans.yaml
  recipe
  [ "$ran" = "exp/kmeans/centroids exp/table.txt exp/train/a exp/train/b" ]
  [[ $output == *"iter1 (kmeans.yaml has changed)"* ]]

  sed -i 's|copy.sh exp/kmeans/centroids exp/table.txt|copy.sh kmeans.yaml exp/table.txt|' recipe.sh
  recipe
  [ "$ran" = exp/table.txt ]
  [[ $output == *"table (its command has changed)"* ]]

  echo longer >>corpus.txt
  recipe
  [ "$ran" = "$everything" ]
  [[ $output == *"dev (corpus.txt has changed)"* ]]
}

@test "a config that is written anew with the same content, or another --nj, is no reason" {
  recipe
  echo "k: 100" >kmeans.yaml
  nj=4 recipe
  [ -z "$ran" ]
}

@test "only the selected stages run" {
  recipe 1 2
  [ "$ran" = "data/dev.txt exp/kmeans/centroids exp/table.txt" ]
  recipe 3
  [ "$ran" = "exp/train/a exp/train/b" ]
}

@test "a missing input is one line that names the stage that makes it" {
  recipe 3
  [ "$status" -eq 1 ]
  [ "$output" = "error: stage 3 (train): exp/kmeans is missing; it is made by stage 2 (kmeans): run with --stage 2" ]
  recipe 1 1
  mkdir exp/kmeans
  sed -i 's/^step iter1 .*/step iter1 --out exp\/kmeans -- true/' recipe.sh
  recipe 2
  [[ $output == *"exp/kmeans/cent* is missing; it is made by stage 2 (kmeans): run with --stage 2" ]]
  rm corpus.txt
  recipe
  [ "$output" = "error: stage 1 (features): corpus.txt is missing" ]
}

@test "a command that fails ends the run with its status, one line, and a log; it goes on from there" {
  touch fail
  recipe
  [ "$status" -eq 3 ]
  [ "${lines[-2]}" = "bad luck" ]
  log=exp/log/stage01_features.log
  [ "${lines[-1]}" = "error: stage 1 (features): dev ended with status 3; the log is $log" ]
  grep -qx "bad luck" "$log"
  [ "$ran" = data/dev.txt ]
  rm fail
  recipe
  [ "$ran" = "data/dev.txt resumed ${everything#* }" ]
}

@test "on a terminal it stays a terminal, so that progress bars show; the log keeps their last state" {
  cat >bar.sh <<'END'
test -t 1 && test -t 2
printf '10 %%\r100 %%\n'
exit 3
END
  sed -i 's/^step dev .*/step dev --out data\/dev.txt -- bash -e bar.sh/' recipe.sh
  mkfifo keyboard # at whose end script(1) would press a key, which the terminal prints as ^@, now and then in the last line
  run script --quiet --return --command "bash recipe.sh 1 3" /dev/null <>keyboard
  [ "$status" -eq 3 ]
  [[ $output == *"error: stage 1 (features): dev ended with status 3;"* ]]
  [ "$(xargs -d '\n' <exp/log/stage01_features.log)" = "$ 'bash' '-e' 'bar.sh' 100 %" ]
}

@test "a command that does not make its output fails" {
  sed -i 's/^step dev .*/step dev --out data\/dev.txt -- true/' recipe.sh
  recipe
  [ "$status" -eq 1 ]
  [ "${lines[-1]}" = "error: stage 1 (features): dev ended well but did not make data/dev.txt" ]
}

@test "an interrupted step keeps its outputs, unless its config has changed since" {
  recipe 1 1
  touch fail
  recipe
  [ "$ran" = exp/kmeans/centroids ]
  recipe
  [ "$ran" = "exp/kmeans/centroids resumed" ]
  [[ $output == *"iter1 (goes on where it was interrupted)"* ]]
  echo "k: 200" >kmeans.yaml
  recipe
  [ "$ran" = exp/kmeans/centroids ]
  echo "k: 100" >kmeans.yaml
  rm fail
  recipe
  [ "$ran" = "${everything#* }" ]
}

@test "stale outputs are removed first; what nothing here made is kept" {
  recipe
  touch exp/train/old
  echo "k: 200" >kmeans.yaml
  recipe
  [ ! -e exp/train/old ]

  rm -r exp
  mkdir -p exp/train
  touch exp/train/mine
  recipe
  [ -e exp/train/mine ]
}

@test "a stale training is moved aside, not removed" {
  export ngpu=1
  recipe
  touch exp/train/notes
  echo "k: 200" >kmeans.yaml
  recipe
  [ "$ran" = "exp/kmeans/centroids exp/table.txt exp/train/a exp/train/b" ]
  [ ! -e exp/train/notes ]
  ls exp/old/*/train/notes
  [ "$(cat exp/old/*/train/a)" = "k: 100" ]
  [[ $output == *"what was in exp/train is now in exp/old/"* ]]
}

@test "options of a training that change no result are no reason; with more updates it goes on where it is" {
  sed -i "s/bash both.sh/bash both.sh \$options/" recipe.sh
  ngpu=1 options="--lr 1" recipe
  ngpu=1 options="--lr 1 --loop.workers 4 --loop.save-every=7" recipe
  [ -z "$ran" ]
  ngpu=1 options="--loop.keep 2 --lr 1 --loop.updates 9" recipe
  [ "$ran" = "exp/train/a resumed exp/train/b resumed" ]
  [[ $output == *"model (its command has changed)"* ]]
  [ ! -e exp/old ]
  ngpu=1 options="--lr 2 --loop.updates 9" recipe
  [ "$ran" = "exp/train/a exp/train/b" ]
  [[ $output == *"what was in exp/train is now in exp/old/"* ]]
}

@test "what a fine-tuning saves is what stage 9 averages: with other options it is trained again" {
  sed -i "s/-- bash both.sh/-- bash -c 'bash both.sh' mt4ssl.bin.finetune \$options/" recipe.sh
  ngpu=1 options="--loop.workers 1" recipe
  ngpu=1 options="--loop.workers 2" recipe
  [ -z "$ran" ]
  for option in --loop.keep --loop.save-every; do
    ngpu=1 options="$option 10" recipe
    [ "$ran" = "exp/train/a exp/train/b" ]
    [[ $output == *"what was in exp/train is now in exp/old/"* ]]
  done
}

@test "what a training validates on must be there, and may change" {
  echo dev >dev.txt
  sed -i "s/corpus.txt --out exp\/train/corpus.txt dev.txt --out exp\/train/" recipe.sh # as it was before there was --dev
  ngpu=1 recipe
  sed -i "s/corpus.txt dev.txt/corpus.txt --dev dev.txt/" recipe.sh
  ngpu=1 recipe
  [ -z "$ran" ]
  echo "another dev" >dev.txt
  ngpu=1 recipe
  [ -z "$ran" ]
  rm dev.txt
  ngpu=1 recipe
  [ "$status" -eq 1 ]
  [ "${lines[-1]}" = "error: stage 3 (train): dev.txt is missing" ]
}

@test "of a folder given as config the content counts" {
  mkdir -p conf/__pycache__
  echo one >conf/a.sh
  sed -i 's/--conf kmeans.yaml/--conf conf/' recipe.sh
  recipe
  echo one >conf/a.sh
  echo compiled >conf/__pycache__/a.pyc
  recipe
  [ -z "$ran" ]
  echo two >conf/b.sh
  recipe
  [[ $output == *"iter1 (conf/b.sh has changed)"* ]]
}

@test "a missing absolute path is one line" {
  sed -i 's|--in corpus.txt --out data/dev.txt|--in /nowhere/corpus.txt --out data/dev.txt|' recipe.sh
  recipe
  [ "$output" = "error: stage 1 (features): /nowhere/corpus.txt is missing" ]
}

@test "outputs outside data and exp are never removed" {
  sed -i 's/^step dev .*/step dev --in corpus.txt --out download -- bash copy.sh corpus.txt download\/a/' recipe.sh
  recipe 1 1
  touch download/mine
  echo more >>corpus.txt
  recipe 1 1
  [ "$ran" = "download/a resumed" ]
  [ -e download/mine ]
}

@test "a run killed in the middle of a step goes on with that step" {
  cat >>recipe.sh <<'END'
stage 4 sleep
step slow --out exp/slow -- bash -c 'bash copy.sh corpus.txt exp/slow && sleep "$(cat seconds)"'
END
  echo 60 >seconds
  recipe
  setsid bash recipe.sh 4 4 3>&- &
  until [ -e exp/slow ]; do sleep 0.1; done
  kill -9 -- -$!
  wait $! || true
  echo 0 >seconds
  recipe 1 4
  [ "$status" -eq 0 ]
  [ "$ran" = "exp/slow resumed" ]
}

# A step whose command, when it gets SIGTERM, takes a second to write exp/saved, and a child of it that does nothing.
slow_step() {
  cat >slow.sh <<'END'
trap 'sleep 1; echo yes >>exp/saved; exit 143' TERM
echo $$ >>pids
sleep 60 &
echo $! >>pids
touch exp/begun
while true; do sleep 0.1; done
END
  cat >recipe.sh <<END
set -euo pipefail
data_dir=data exp_dir=exp stage=1 stop_stage=1
. "\$UTILS/stage.sh"
stage 1 train
step slow --out exp/slow $1 -- bash slow.sh
wait_for_steps
end_stages
END
  setsid bash recipe.sh >printed 2>&1 3>&- &
  recipe=$!
  until [ -e exp/begun ]; do sleep 0.1; done
}

# Of what has written its process into "pids", nothing is left.
check_nothing_left() {
  local process
  while read -r process; do
    if kill -0 "$process" 2>/dev/null; then return 1; fi
  done <pids
}

@test "SIGTERM is passed on to what runs, and waited for" {
  for option in "" "--beside 1"; do
    rm -rf exp pids
    slow_step "$option"
    kill "$recipe"
    status=0
    wait "$recipe" || status=$?
    [ "$status" -eq 143 ]
    [ "$(cat exp/saved)" = yes ]
    check_nothing_left
    grep -q "slow ended with status 143" printed
  done
}

@test "when a run is killed, what it started is ended, and the folder is in use until then" {
  for option in "" "--beside 1"; do
    rm -rf exp pids
    slow_step "$option"
    if [ -z "$option" ]; then killed=-$recipe; else killed=$recipe; fi # with all of its group, or alone
    kill -9 -- "$killed"
    status=0
    wait "$recipe" || status=$?
    [ "$status" -eq 137 ]
    flock exp/done/.lock true
    [ "$(cat exp/saved)" = yes ]
    check_nothing_left
  done
}

@test "of a command that is killed alone nothing goes on" {
  echo "sleep 60 & echo \$! >pids; kill -9 \$\$" >slow.sh
  sed -i "s/^step dev .*/step dev --out data\/dev.txt -- bash slow.sh/" recipe.sh
  recipe 1 1
  [ "$status" -eq 137 ]
  [ -s pids ]
  for _ in {1..50}; do
    if check_nothing_left; then break; fi
    sleep 0.1
  done
  check_nothing_left
}

@test "Ctrl-C on a terminal ends what runs" {
  slow_step ""
  kill -9 "$recipe"
  flock exp/done/.lock true
  rm exp/begun
  echo 'python3 -c "import time; open(\"exp/begun\", \"w\"); time.sleep(60)"' >slow.sh
  status=0
  {
    until [ -e exp/begun ]; do sleep 0.1; done
    printf '\003'
    sleep 2
  } | timeout 30 script --quiet --return --command "bash recipe.sh" /dev/null >printed 3>&- || status=$?
  [ "$status" -ne 0 ]
  grep -q KeyboardInterrupt printed
  grep -q "slow ended with status" printed
}

@test "two runs in one folder do not collide" {
  mkdir -p exp/done
  exec 8>exp/done/.lock
  flock 8
  recipe
  [ "$status" -eq 1 ]
  [ "$output" = "error: another run is at work in exp: wait for it, or use another --exp-dir" ]
  echo "here 12" >exp/done/.lock
  recipe
  [ "$output" = "error: another run is at work in exp (process 12 of here): wait for it, or use another --exp-dir" ]
  [ "$(cat exp/done/.lock)" = "here 12" ]
  [ -z "$ran" ]
}

@test "a run notes where it is at work, and that it no longer is" {
  sed -i "s/^step dev .*/step dev --out data\/dev.txt -- bash see.sh/" recipe.sh
  echo "mkdir data && cat exp/done/.lock >data/dev.txt" >see.sh
  recipe 1 1
  [[ $(cat data/dev.txt) =~ ^"$HOSTNAME "[0-9]+$ ]]
  flock exp/done/.lock true
  [ ! -s exp/done/.lock ]
}

@test "a run of another host, which kernels may not know of, is respected until it has been silent" {
  mkdir -p exp/done
  echo "elsewhere 12" >exp/done/.lock
  recipe
  [ "$status" -eq 1 ]
  [[ $output == "error: process 12 of elsewhere was at work in exp "*" s ago: look with 'ssh elsewhere ps 12'; if it is gone, wait until it has been silent for 120 s, or remove exp/done/.lock" ]]
  [ -z "$ran" ]
  touch -d "3 minutes ago" exp/done/.lock
  recipe
  [ "$status" -eq 0 ]
  [ "$ran" = "$everything" ]
}

@test "what a run of this host left that was killed with all of its processes is no hindrance" {
  mkdir -p exp/done
  echo "$HOSTNAME $$" >exp/done/.lock # the process is there, and has not locked it: it is another one by now
  recipe
  [ "$status" -eq 0 ]
}

@test "where the kernel has no locks for a file system, the process is looked for" {
  mkdir -p bin exp/done
  printf '#!/bin/sh\nexit 69\n' >bin/flock
  chmod +x bin/flock
  export PATH=$PWD/bin:$PATH
  echo "$HOSTNAME $$" >exp/done/.lock
  recipe
  [ "$status" -eq 1 ]
  [ "$output" = "error: another run is at work in exp (process $$ of $HOSTNAME): wait for it, or use another --exp-dir" ]
  echo "$HOSTNAME 4194304" >exp/done/.lock # more than any process has
  recipe
  [ "$status" -eq 0 ]
}

# Runs a command without the right to write everywhere, which root has.
as_user() {
  if [ "$(id -u)" -eq 0 ]; then setpriv --bounding-set=-dac_override "$@"; else "$@"; fi
}

@test "a folder that cannot be written is one line" {
  as_user true || skip "root cannot give up its rights here"
  mkdir exp
  chmod 555 exp
  run as_user bash recipe.sh 1 3
  chmod 755 exp
  [ "$status" -eq 1 ]
  [ "$output" = "error: exp cannot be written (Permission denied): make room there, make it writable, or use another --exp-dir" ]
  recipe
  [ "$status" -eq 0 ]
}

@test "a folder that vanishes while a step runs is one line; then everything is made anew" {
  cp copy.sh vanish.sh
  echo "rm -r exp" >>copy.sh
  recipe 1 1
  [ "$status" -eq 1 ]
  noted="cannot note in exp/done what is read and made: see above, then run the same command again"
  [ "${lines[-1]}" = "error: stage 1 (features): $noted" ]
  mv vanish.sh copy.sh
  recipe
  [ "$status" -eq 0 ]
  [ "$ran" = "data/dev.txt resumed ${everything#* }" ]
}

# with_read_only FOLDER COMMAND...: runs a command to which the file system of a folder is read-only.
with_read_only() {
  # shellcheck disable=SC2016
  unshare -rm bash -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && "$@"' bash "$@"
}

@test "a file system that is read-only is one line, for exp, for data, and for exp in the middle of a step" {
  mkdir exp data
  with_read_only exp true || skip "this system lets no user mount"
  run with_read_only exp bash recipe.sh 1 3
  [ "$status" -eq 1 ]
  read_only="(Read-only file system): make room there, make it writable, or use another --exp-dir"
  [ "$output" = "error: exp cannot be written $read_only" ]
  run with_read_only data bash recipe.sh 1 3
  [ "$status" -eq 1 ]
  [[ ${lines[-2]} == *"data/dev.txt: Read-only file system" ]]
  [ "${lines[-1]}" = "error: stage 1 (features): dev ended well but did not make data/dev.txt" ]
  cp copy.sh before.sh
  echo "mount --bind exp exp && mount -o remount,bind,ro exp" >>copy.sh
  run unshare -rm bash recipe.sh 1 3
  [ "$status" -eq 1 ]
  noted="cannot note in exp/done what is read and made: see above, then run the same command again"
  [ "${lines[-1]}" = "error: stage 1 (features): $noted" ]
  mv before.sh copy.sh
  recipe
  [ "$status" -eq 0 ]
  [ "$ran" = "data/dev.txt resumed ${everything#* }" ]
}

# Runs stages 1 to 3 where no file may grow beyond so many KiB, which stands for a full disk.
with_room() { run bash -c "trap '' XFSZ; ulimit -f $1; exec bash recipe.sh 1 3"; }

@test "a full disk is one line, and what was made is not made again" {
  with_room 0
  [ "$status" -eq 1 ]
  [[ $output == "error: exp cannot be written (File too large): make room there,"* ]]
  cat >many.sh <<'END'
echo many >>ran
mkdir -p data/many
for n in $(seq 100); do echo "$n" >"data/many/$n"; done
END
  sed -i 's/^step dev .*/step dev --out data\/many -- bash many.sh/' recipe.sh
  with_room 1
  [ "$status" -eq 1 ]
  [[ ${lines[-1]} == "error: stage 1 (features): cannot note in exp/done what is read and made: see above,"* ]]
  touch data/many/mine
  recipe 1 1
  [[ $output == *"dev (goes on where it was interrupted)"* ]]
  [ -e data/many/mine ]
  recipe 1 1
  [ -z "$ran" ]
}

@test "whatever time the clock tells, what changes is noticed, and nothing else" {
  touch -d "2 years" corpus.txt
  recipe
  recipe
  [ -z "$ran" ]
  echo longer >>corpus.txt
  touch -d "2 years ago" corpus.txt
  recipe
  [ "$ran" = "$everything" ]
  [[ $output == *"dev (corpus.txt has changed)"* ]]
}

@test "wall times are noted per stage, and stay when a stage is skipped" {
  recipe
  [ "$(cut -f 1,2 exp/log/durations.tsv | xargs)" = "1 features 2 kmeans 3 train" ]
  cp exp/log/durations.tsv before
  recipe
  cmp before exp/log/durations.tsv
}
