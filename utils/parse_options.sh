# shellcheck shell=bash
# Command-line options as in Kaldi: every lower-case assignment (not of a command's output) at the start of a line, above
# where a script sources this file, is an option. After `stop_stage=12  # last stage`, both `--stop-stage 5`
# and `--stop-stage=5` set it; one whose default is true or false takes only these. `--config FILE` reads lines
# `name=value`; `--help` prints $help_message, or else the comment at the top of the script, and the options with their
# comments. What is left over is in "$@". Files of assignments that the script sources first, such as options.sh, add
# themselves to $options_files; the script may set their options anew, with a comment of its own or without.
#   . utils/parse_options.sh

options_script=${BASH_SOURCE[1]}
options_files+=("$options_script")

# Prints the options as "name<TAB>comment", in the order in which the files name them first.
list_options() {
  awk '/^\. .*parse_options\.sh/ { exit }
    match($0, /^[a-z][a-z0-9_]*=/) && !/^[a-z0-9_]*="?\$\(/ {
      name = substr($0, 1, RLENGTH - 1)
      if (!(name in comments)) names[++count] = name
      comments[name] = index($0, "  # ") ? substr($0, index($0, "  # ") + 4) : comments[name]
    }
    END { for (i = 1; i <= count; i++) print names[i] "\t" comments[names[i]] }' "${options_files[@]}"
}

print_help() {
  echo "${help_message:-$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$options_script")}"
  printf '\nOptions:\n'
  local name comment
  while IFS=$'\t' read -r name comment; do
    printf '  --%-22s %s (default: %s)\n' "${name//_/-}" "$comment" "${!name:-none}"
  done < <(list_options)
}

# Prints the option whose name is nearest to $1 by edit distance.
nearest_option() {
  list_options | cut -f 1 | awk -v wanted="$1" '
    { for (j = 0; j <= length($0); j++) row[j] = j
      for (i = 1; i <= length(wanted); i++) {
        diagonal = row[0]; row[0] = i
        for (j = 1; j <= length($0); j++) {
          cost = diagonal + (substr(wanted, i, 1) != substr($0, j, 1))
          diagonal = row[j]
          if (row[j] + 1 < cost) cost = row[j] + 1
          if (row[j - 1] + 1 < cost) cost = row[j - 1] + 1
          row[j] = cost
        }
      }
      if (NR == 1 || row[length($0)] < least) { least = row[length($0)]; best = $0 }
    }
    END { gsub("_", "-", best); print best }'
}

option_error() {
  echo "error: ${options_script##*/}: $1" >&2
  exit 1
}

# set_option NAME VALUE SHOWN: SHOWN is how the user wrote the name
set_option() {
  if ! list_options | cut -f 1 | grep -qxF -- "$1"; then
    option_error "unknown option $3; did you mean --$(nearest_option "$1")? (--help lists all)"
  fi
  case ${!1} in
    true | false)
      [[ $2 =~ ^(true|false)$ ]] || option_error "$3 takes true or false, not '$2'"
      ;;
  esac
  printf -v "$1" '%s' "$2"
}

read_options() {
  local line
  [ -f "$1" ] || option_error "--config: there is no file $1"
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '' | '#'*) ;;
      *=*) set_option "${line%%=*}" "${line#*=}" "${line%%=*} in $1" ;;
      *) option_error "$1: expected name=value, found '$line'" ;;
    esac
  done <"$1"
}

while [[ ${1:-} == -* ]]; do
  option=${1%%=*}
  case $1 in
    --) shift && break ;;
    -h | --help) print_help && exit ;;
    --*=*) value=${1#*=} ;;
    *)
      [ $# -gt 1 ] || option_error "$option needs a value"
      value=$2
      shift
      ;;
  esac
  shift
  if [ "$option" = --config ]; then
    read_options "$value"
  else
    name=${option#--}
    set_option "${name//-/_}" "$value" "$option"
  fi
done
unset option name value
