show_unit
[ "$loaded" != not-found ] || fail_precondition "there is no unit $unit"
! matches_goal || exit "$UNCHANGED"
if [ "$action" = disable ]; then [ -z "$wanted" ] || [ "$wanted" = "$enabled" ]
else [ -z "$wanted" ] || [ "$wanted" = "$active" ]; fi ||
  fail_precondition "$unit is $active, $enabled; it was $wanted"
make_step_dir
list_links >"$step_dir/links"
echo "$entered" >"$step_dir/began"
