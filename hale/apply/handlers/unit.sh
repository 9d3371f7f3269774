# Given: unit, action, wanted (the state that the plan was made for).
loaded= active= enabled= entered= state=
# What systemd knows of the unit.
show_unit() {
  shown=$(systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic \
    -- "$unit")
  while IFS='=' read -r name text; do
    case $name in
    LoadState) loaded=$text;;
    ActiveState) active=$text;;
    UnitFileState) enabled=$text;;
    Active*) entered=$text;;
    esac
  done <<END
$shown
END
}
# `disable` is checked without it.
refresh() { [ "$action" = disable ] || show_unit; }
list_links() { find /etc/systemd/system -type l -printf '%p\t%l\n'; }
# Whether the unit is as the action makes it.
matches_goal() {
  case $action in
  stop) [ "$active" = inactive ] || [ "$active" = failed ];;
  start) [ "$active" = active ];;
  disable)
    # What `show` says is as old as the last reload; of a unit that is gone nothing else says it.
    state=$(systemctl is-enabled -- "$unit" 2>/dev/null) || :
    [ -n "$state" ] || { systemctl daemon-reload && show_unit && state=$enabled; } || return
    [ "$state" != enabled ] && [ "$state" != enabled-runtime ]
    ;;
  restart) [ -e "$step_dir/began" ] && [ "$entered" != "$(cat "$step_dir/began")" ];;
  esac
}
