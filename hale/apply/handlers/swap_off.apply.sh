# What was in the device is back in memory when swapoff ends.
line=$(swap_entry)
[ -z "$line" ] || { exit_if_checking; require_room; swapoff -- "$device"; }
