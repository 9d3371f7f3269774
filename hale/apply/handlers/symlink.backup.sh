[ "$now" != "$after" ] || exit "$UNCHANGED"
[ "$now" = "$before" ] || fail_precondition "$path: expected $before, found $now"
make_step_dir
printf '%s\n' "$now" >"$step_dir/link"
while [ ! -e "$parent/" ]; do echo "folder $parent"; parent=${parent%/*}; done
