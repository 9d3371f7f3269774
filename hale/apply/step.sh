# Before every script of a step. It ends with UNCHANGED where the host is as wanted already, with
# PRECONDITION_FAILED where a precondition does not hold, and, with checking=1, which changes
# nothing, with NOT_APPLIED where it would have to change something.
set -eu
umask 022
checking=
fail_precondition() { echo "$*" >&2; exit "$PRECONDITION_FAILED"; }
compute_sha256() {
  sum=
  [ ! -e "$1" ] && [ ! -L "$1" ] || { sum=$(sha256sum <"$1"); sum=${sum%% *}; }
}
read_sha256() { compute_sha256 "$1"; }
exit_if_checking() { [ -z "$checking" ] || exit "$NOT_APPLIED"; }
# Blanks between words do not count.
# shellcheck disable=SC2046  # words
read_value() { set -f; set -- $(cat "$1"); set +f; value=$*; }
# The name and the value of each file, all by one program.
read_values() {
  [ $# -gt 0 ] || return 0
  grep -sH '' "$@" | while IFS=: read -r name text; do
    set -f
    # shellcheck disable=SC2086  # words
    set -- $text
    set +f
    printf '%s %s\n' "$name" "$*"
  done
}
