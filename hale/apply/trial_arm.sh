# After trial.sh, before the first change. Given: seconds, the window.
set -u
umask 077
# The program that undoes the run is on standard input, in base64.
arm() {
  mkdir -p -- "$trial" && cat >"$trial/undo" && : >"$trial/lock" &&
    sync "$trial/undo" "$trial" || return
  printf '%s\n' "$run" >"$marker.new" && replace_file "$marker.new" "$marker" &&
    write_state pending && write_service && write_timer "$seconds" && enable_timer &&
    systemctl --quiet start "$unit.timer" && systemctl --quiet is-active "$unit.timer"
}
give_up() {
  end_trial
  rm -rf -- "$trial"
  exit 1
}
