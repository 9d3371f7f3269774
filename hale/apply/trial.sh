# A run on trial: the host undoes it by itself at the end of its window, unless it is confirmed.
# Given: trial, the folder of the trial; run; unit, the name of its timer and its service.
# The states: pending, undoing, undone, incomplete, confirmed, cancelled; `none` without a record.
units=/etc/systemd/system
marker=$HALE_HOME/trial
state=none since=
read_state() {
  state=none since=
  [ ! -e "$trial/state" ] || read -r state since <"$trial/state" || :
}
# Where it cannot be written, on a full disk, none is left: nothing is known rather than wrong.
write_state() {
  state=$1 since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  { printf '%s %s\n' "$state" "$since" >"$trial/state.new" &&
    replace_file "$trial/state.new" "$trial/state"; } || { rm -f -- "$trial/state"; return 1; }
}
# write_unit NAME: the unit's file, from standard input.
write_unit() {
  resolve "$units/$1" nofollow && new_beside "$target" && cat >"$new" && chmod 644 "$new" &&
    replace_file "$new" "$target"
}
# write_timer SECONDS. The clock may be what the run changes, so it is not by the time of day. A boot
# begins again. Files and no `systemd-run`, whose units end with a power cut.
write_timer() {
  write_unit "$unit.timer" <<END
[Unit]
Description=Hale undoes $run, unless it is confirmed
[Timer]
OnActiveSec=$1
AccuracySec=1s
END
}
# The program stays in base64: an audit takes the commands of a service for what a boot does, and this
# one undoes what the audit has to judge. A shell reads all of it before it runs anything.
write_service() {
  write_unit "$unit.service" <<END
[Unit]
Description=Hale undoes $run, which was not confirmed
RequiresMountsFor=$trial
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'base64 -d $trial/undo | exec /bin/sh'
END
}
enable_timer() {
  resolve "$units/timers.target.wants/$unit.timer" nofollow || return
  [ -d "${target%/*}" ] || { : >"$trial/wants-made" && mkdir -m 755 -- "${target%/*}"; } || return
  ln -sfT -- "../$unit.timer" "$target" && sync "${target%/*}"
}
# The trial is over. The timer goes last: a boot before that finds the state, and ends this.
end_trial() {
  of=
  [ ! -e "$marker" ] || read -r of <"$marker" || :
  [ "$of" != "$run" ] || rm -f -- "$marker"
  rm -f -- "$units/timers.target.wants/$unit.timer"
  [ ! -e "$trial/wants-made" ] || rmdir -- "$units/timers.target.wants" 2>/dev/null || :
  rm -f -- "$units/$unit.timer" "$units/$unit.service"
  sync "$units"
  systemctl --quiet stop "$unit.timer" 2>/dev/null || :
  # A reload since the trial began has had timers.target want the timer.
  [ "$(systemctl show -p LoadState --value -- "$unit.timer")" = not-found ] ||
    systemctl daemon-reload || :
}
