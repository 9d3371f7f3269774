# Arguments: the names. getent(1) exits with 2 for an unknown name; any other non-zero status is no
# answer.
RES_OPTIONS='timeout:2 attempts:1'; export RES_OPTIONS
set -f
IFS='
'
for name; do
  printf 'name %s\n' "$name"
  found=$(getent ahosts "$name"); r=$?
  [ $r = 0 ] || [ $r = 2 ] || exit $r
  # shellcheck disable=SC2086  # a word a line
  [ $r = 2 ] || printf 'is %s\n' $found
done
