# A loop is known by its process number and its start time: the number alone may be another
# program's by now. proc(5): behind the command's name, the start time is the 20th field.

# start_time PID: empty without such a process, or where it has ended and nothing has reaped it
start_time() {
  { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 0
  # shellcheck disable=SC2086 # its fields
  set -- ${stat_line##*) }
  [ "$1" = Z ] || echo "${20}"
}

# is_loop PID START_TIME
is_loop() { [ "$2" ] && [ "$(start_time "$1")" = "$2" ]; }
