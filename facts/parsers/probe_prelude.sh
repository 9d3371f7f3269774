need() { for t; do command -v "$t" >/dev/null || missing "$t is not installed"; done; }
missing() { echo "$1" >&2; exit 127; }
hidden() { echo "$1 by this user" >&2; exit 3; }
enter() { for d; do [ ! -d "$d" ] || [ -x "$d" ] || hidden "$d is not searchable"; done; }
# readable FILE: ends the probe where it cannot be read, with the obstacle: the file or the target of
# its link is missing, this user may not read it, or may not search a folder on the way.
readable() {
  [ ! -r "$1" ] || return 0
  at=$(readlink -m -- "$1") || at=$1
  [ ! -e "$at" ] || hidden "$1 is not readable"
  while [ -n "$at" ] && [ ! -e "$at" ]; do at=${at%/*}; done
  enter "${at:-/}"
  echo "$1 is missing" >&2
  exit 3
}
flat() { printf '%s' "$1" | tr '\n\r' '  '; }

# capture COMMAND...: its output as $output, its status as $r. What it prints on standard error is
# added only where it fails: a warning, such as the dynamic linker's, would break up the output.
newline='
'
ended="$newline@ended "
capture() {
  output=$({ out=$("$@") && r=0 || r=$?; printf '%s%s\n%s' "$ended" "$r" "$out"; } 2>&1)
  errors=${output%%"$ended"*}; output=${output#*"$ended"}
  r=${output%%[!0-9]*}; output=${output#"$r"}; output=${output#?}
  [ "$r" = 0 ] || output=$output${output:+$newline}${errors%"$newline"}
}
