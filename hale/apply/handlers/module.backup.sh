is_loaded() { [ -d "/sys/module/$name" ]; }
if [ "$load" = 1 ]; then ! is_loaded || exit "$UNCHANGED"; else is_loaded || exit "$UNCHANGED"; fi
make_step_dir
