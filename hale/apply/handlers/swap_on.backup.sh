[ -z "$(swap_entry)" ] || exit "$UNCHANGED"
make_step_dir
