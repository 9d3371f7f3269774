need() { for t; do command -v "$t" >/dev/null || missing "$t is not installed"; done; }
missing() { echo "$1" >&2; exit 127; }
hidden() { echo "$1 by this user" >&2; exit 3; }
enter() { for d; do [ ! -d "$d" ] || [ -x "$d" ] || hidden "$d is not searchable"; done; }
readable() { [ -r "$1" ] || hidden "$1 is not readable"; }
flat() { printf '%s' "$1" | tr '\n\r' '  '; }
