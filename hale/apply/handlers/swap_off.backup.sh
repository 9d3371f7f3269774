line=$(swap_entry)
[ -n "$line" ] || exit "$UNCHANGED"
require_room
make_step_dir
echo "priority ${line#* }"
