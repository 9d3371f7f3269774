[ -e "$path" ] || fail_precondition "$path is gone"
read_value "$path"
[ "$value" != "$after" ] || exit "$UNCHANGED"
[ "$value" = "$before" ] || fail_precondition "$path is $value and no longer $before"
make_step_dir
# shellcheck disable=SC2086  # patterns of files
[ -z "$cascades_to" ] || read_values $cascades_to | while read -r file value; do
  [ "$value" = "$before" ] || echo "was $file $value"
done
# shellcheck disable=SC2086  # patterns of files
read_values $preserve >"$step_dir/values"
