# The host undoes a run that was not confirmed, with nothing of the operator's machine. After
# step.sh, backup.sh and trial.sh; its steps follow. The same scripts as those of `invoke undo`.
set +e
umask 077
tab=$(printf '\t')
reload_wanted= problems=
exec 8>>"$trial/lock"
flock 8  # a step that is being applied ends before
read_state
case $state in
pending | undoing) ;;
*) end_trial; exit 0 ;;
esac
write_state undoing
write_timer 1  # after a power cut the next boot goes on at once
: >"$trial/outcome"
# note KIND NUMBER TEXT: for the operator, and for the host's own log.
note() {
  printf '%s %s %s\n' "$1" "$2" "$(printf %s "$3" | base64 -w0)" >>"$trial/outcome"
  printf '%s: %s\n' "$1" "$3"
}
reload() {
  [ -n "$reload_wanted" ] || return 0
  reload_wanted=
  e=$(systemctl daemon-reload 2>&1) || { problems=1; note failed 0 "daemon-reload: $e"; }
}
# settle FOLDER NUMBER TITLE CHECK: whether a step that was interrupted is applied.
settle() {
  [ -e "$1/begun" ] && [ ! -e "$1/done" ] || return 0
  e=$( (step_dir=$1; set -e; umask 022; eval "$4") 2>&1 >"$1/output" </dev/null 8>&-)
  r=$?
  case $r in
  0 | "$UNCHANGED") : >"$1/done" ;;
  *)
    rm -f -- "$1/begun"
    [ "$r" -eq "$NOT_APPLIED" ] || { problems=1; note failed "$2" "$3: $e"; }
    ;;
  esac
}
# undo FOLDER NUMBER TITLE RELOAD FRESH BACKUP APPLY: one change that undoes the step of that folder.
# RELOAD: it holds only after a daemon-reload; FRESH: it needs the one of others before it.
undo() {
  [ -e "$1/done" ] || return 0
  [ -z "$5" ] || reload
  own=$trial/$2
  e=$( (step_dir=$own; set -e; umask 077; eval "$6") 2>&1 >/dev/null </dev/null 8>&-)
  r=$?
  [ "$r" -ne 0 ] || {
    e=$( (step_dir=$own; set -e; umask 022; eval "$7") 2>&1 >/dev/null </dev/null 8>&-)
    r=$?
  }
  case $r in
  "$UNCHANGED") ;;
  0)
    reload_wanted=$reload_wanted$4
    note undone "$2" "$3"
    ;;
  "$PRECONDITION_FAILED") problems=1; note refused "$2" "$3: $e" ;;
  *) problems=1; note failed "$2" "$3: $e" ;;
  esac
}
# undo_links FOLDER NUMBER RELOAD BACKUP APPLY: restores the links that the step has printed.
# shellcheck disable=SC2034  # the scripts use them
undo_links() {
  [ -e "$1/done" ] || return 0
  links=0
  while IFS=$tab read -r path link <&7; do
    [ -n "$link" ] || continue
    links=$((links + 1))
    before=nothing after="link $link" folders=
    undo "$1" "$2.$links" "$path -> $link" "$3" "" "$4" "$5"
  done 7<"$1/output"
}
finish() {
  reload
  if [ -z "$problems" ]; then write_state undone; else write_state incomplete; fi
  end_trial
}
