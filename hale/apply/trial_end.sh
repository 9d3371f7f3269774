# After trial.sh: ends the trial, or with an empty goal only reports it: the state, when it began, and
# what the host did. Given: goal (confirmed, cancelled or empty), patience in seconds.
set -u
umask 077
[ -d "$trial" ] || { end_trial; echo none; exit 0; }
exec 8>>"$trial/lock"
flock -w "$patience" 8 || { echo "the host is still undoing $run" >&2; exit 1; }
read_state
case $goal:$state in
confirmed:pending | cancelled:pending | cancelled:undoing) write_state "$goal" || exit ;;
esac
case $state in
pending | undoing) ;;
*) end_trial ;;
esac
printf '%s %s\n' "$state" "$since"
[ ! -e "$trial/outcome" ] || cat "$trial/outcome"
