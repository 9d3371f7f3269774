# `disable` would reload systemd by itself, once for each unit.
refresh
if ! matches_goal; then
  exit_if_checking
  systemctl --quiet --no-reload "$action" -- "$unit"
  refresh
  matches_goal || {
    echo "$unit is ${state:-$active, $enabled} after systemctl $action" >&2
    exit 1
  }
  sync /etc/systemd/system
fi
[ "$action" != disable ] || {
  list_links >"$step_dir/left"
  grep -vxFf "$step_dir/left" "$step_dir/links" || :
}
