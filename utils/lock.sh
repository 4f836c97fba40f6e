# shellcheck shell=bash
# One run at a time in $exp_dir, on whatever host. Sourced by stage.sh.
#
# The kernel's lock on exp/done/.lock ends with the processes that hold it, however they end. Not every file system takes
# it to other hosts: there the content of the file does, which names the host and the process that are at work, and its
# time, which is set anew every 30 s. A run on another host that has been silent for 120 s is taken for gone.

: "${exp_dir:?}"
lock=$exp_dir/done/.lock

refuse() {
  echo "error: $1" >&2
  exit 1
}

# take_lock: opens $driver_lock, and notes who has it; exits where another run has it, or nothing can be written.
take_lock() {
  local problem status=0 host='' process='' silent
  problem=$({ mkdir -p "$exp_dir/done" "$exp_dir/log" && echo >"$exp_dir/done/.now" && : >>"$lock"; } 2>&1) ||
    refuse "$exp_dir cannot be written (${problem##*: }): make room there, make it writable, or use another --exp-dir"
  exec {driver_lock}<>"$lock"
  flock --timeout 3 --conflict-exit-code 75 "$driver_lock" 2>/dev/null || status=$? # a killed run is being ended
  read -r host process <"$lock" || true
  silent=$(($(stat -c %Y "$exp_dir/done/.now") - $(stat -c %Y "$lock"))) # by the clock of the file system
  if [ "$status" -ne 0 ] && [ "$status" -ne 75 ] && [ "$host" = "$HOSTNAME" ] && kill -0 "$process" 2>/dev/null; then
    status=75 # this file system has no locks of the kernel
  fi
  if [ "$status" -eq 75 ]; then
    refuse "another run is at work in $exp_dir${host:+ (process $process of $host)}: wait for it, or use another --exp-dir"
  elif [ -n "$host" ] && [ "$host" != "$HOSTNAME" ] && [ "$silent" -lt 120 ]; then
    refuse "process $process of $host was at work in $exp_dir $silent s ago: look with 'ssh $host ps $process'; if it is \
gone, wait until it has been silent for 120 s, or remove $lock"
  fi
  echo "$HOSTNAME $$" >"$lock"
}

# These reach the file that was locked, whatever has its name by now.
show_life() { touch -c "/dev/fd/$driver_lock" 2>/dev/null || true; }
release_lock() { : 2>/dev/null >"/dev/fd/$driver_lock" || true; }
