is_loaded() { [ -d "/sys/module/$name" ]; }
if [ "$load" = 1 ]; then is_loaded || { exit_if_checking; modprobe -- "$name"; is_loaded; }
elif is_loaded; then exit_if_checking; modprobe -r -- "$name"; ! is_loaded; fi
