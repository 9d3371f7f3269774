# Take the lock. Given: lock, owner (one line of JSON), break_stale (1 or empty), trial (the run that
# may be on trial here).
set -eu
umask 077
[ "$(id -u)" = 0 ] || {
  echo "changes need root: put ansible_become=true into the inventory" >&2; exit 1
}
resolve "$lock" nofollow
mkdir -p "$HALE_HOME"
exec 9<"$HALE_HOME"
flock -w 10 9
# stat_field PID N: a field of /proc/PID/stat, counted from behind the program's name.
stat_field() {
  n=$2
  read -r l <"/proc/$1/stat"
  # shellcheck disable=SC2086  # fields
  set -- ${l##*) }
  shift $((n - 1))
  echo "$1"
}
if [ -e "$HALE_HOME/trial" ]; then
  read -r on_trial <"$HALE_HOME/trial" || :
  [ "$on_trial" = "$trial" ] || { printf %s "$on_trial"; exit "$ON_TRIAL"; }
fi
leader=$(stat_field $$ 4)
session="$leader $(stat_field "$leader" 20) $(cat /proc/sys/kernel/random/boot_id)"
if [ -e "$lock" ]; then
  holder= pid=0 start= boot=
  { read -r holder && read -r pid start boot; } <"$lock" || :
  live=
  if [ "$boot" = "${session##* }" ] && [ -e "/proc/$pid/stat" ]; then
    [ "$(stat_field "$pid" 20)" != "$start" ] || live=1
  fi
  if [ "$holder" != "$owner" ] && { [ -n "$live" ] || [ -z "$break_stale" ]; }; then
    printf %s "$holder"
    [ -z "$live" ] || exit "$LIVE"
    exit "$STALE"
  fi
fi
printf '%s\n%s\n' "$owner" "$session" >"$lock.new"
replace_file "$lock.new" "$lock"
