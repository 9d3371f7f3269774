# Given: device. swap_entry: its use and priority, from /proc/swaps.
swap_entry() {
  while read -r name _ _ used priority; do
    [ "$(printf %b "$name")" != "$device" ] || { echo "$used $priority"; return; }
  done </proc/swaps
}
require_room() {
  used=${line% *}
  free=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
  [ "$used" = 0 ] || [ "$used" -le $((free - margin)) ] ||
    fail_precondition "$used KiB are in $device, $free KiB are available, and $margin must stay free"
}
