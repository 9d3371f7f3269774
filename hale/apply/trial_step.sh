# A step of a run on trial, after step.sh. Given: trial, step_dir. It holds the trial's lock, so that
# it is either over when the host begins to undo the run, or does not begin.
run_on_trial() {
  exec 8>>"$trial/lock"
  flock 8
  state=
  read -r state _ <"$trial/state" || :
  [ "$state" = pending ] || fail_precondition "the host undoes the run by itself, or has done so"
  : >"$step_dir/begun"
  sync "$step_dir"
  set +e
  (set -e; eval "$1") >"$step_dir/output" 8>&-
  r=$?
  [ "$r" -ne 0 ] || : >"$step_dir/done"
  exec 8>&-
  cat "$step_dir/output"
  exit "$r"
}
