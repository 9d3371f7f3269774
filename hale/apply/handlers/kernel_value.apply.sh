# Given: path, before, after, preserve, cascades_to, write_after.
read_value "$path"
if [ "$value" != "$after" ]; then
  exit_if_checking
  [ "$value" = "$before" ] || fail_precondition "$path is $value and no longer $before"
  # A container may have /proc read-only and the right to sethostname(2) all the same.
  { printf '%s\n' "$after" >"$path"; } 2>"$step_dir/output" || {
    # shellcheck disable=SC2015  # where hostname fails, the reason is printed too
    [ "$path" = /proc/sys/kernel/hostname ] && hostname -- "$after" ||
      { cat "$step_dir/output" >&2; exit 1; }
  }
fi
# What else the kernel changed with it is written back.
files=
while read -r file old; do files="$files $file"; done <"$step_dir/values"
# shellcheck disable=SC2086  # no blanks in /proc/sys
found=$(read_values $files)
while read -r file old; do
  case "
$found
" in
  *"
$file $old
"*) ;;
  *) [ ! -e "$file" ] || printf '%s\n' "$old" >"$file" ;;
  esac
done <"$step_dir/values"
# shellcheck disable=SC2086  # pairs of words
set -- $write_after
while [ $# -gt 1 ]; do
  [ ! -e "$1" ] || printf '%s\n' "$2" >"$1"
  shift 2
done
read_value "$path"
[ "$value" = "$after" ] || { echo "$path is $value after $after was written" >&2; exit 1; }
