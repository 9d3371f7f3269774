# Give the lock back, if it still is ours.
exec 9<"$HALE_HOME" || exit 0
flock -w 10 9
[ -e "$lock" ] || exit 0
read -r holder <"$lock"
[ "$holder" != "$owner" ] || rm -f "$lock"
