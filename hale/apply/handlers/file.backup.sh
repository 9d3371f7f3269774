read_sha256 "$target"
now=$sum
[ "$now" != "$after" ] || exit "$UNCHANGED"
if [ "$now" != "$before" ]; then
  [ -n "$now" ] || fail_precondition "$path is gone; its SHA-256 was $before"
  [ -n "$before" ] || fail_precondition "$path is there now; it was not"
  fail_precondition "$path has other bytes: their SHA-256 is $now and was $before"
fi
require_one_name || exit "$PRECONDITION_FAILED"
read_attributes "$target"
case ${found%% *} in *[ia]*) echo "$target: Operation not permitted" >&2; exit 1;; esac
make_step_dir
# Undo needs it. Where the shell cannot write it, cat says why.
printf %s "$path" 2>/dev/null >"$step_dir/path" || printf %s "$path" | cat >"$step_dir/path"
if [ -n "$now" ]; then
  cp --preserve=all --remove-destination -- "$target" "$step_dir/original"
else
  parent=${target%/*}
  while [ ! -e "$parent/" ]; do echo "folder $parent"; parent=${parent%/*}; done
fi
