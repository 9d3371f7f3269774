parent=${path%/*}
new=$parent/.hale-new
[ ! -e "$new" ] && [ ! -L "$new" ] || rm -f -- "$new"
if [ "$now" != "$after" ]; then
  exit_if_checking
  [ "$now" = "$before" ] || fail_precondition "$path: expected $before, found $now"
  trap '[ ! -L "$new" ] || rm -f -- "$new"' EXIT
  [ -d "$parent" ] || mkdir -p -- "$parent"
  if [ "$after" = nothing ]; then
    rm -- "$path"
    eval "for folder in $folders; do rmdir -- \"\$folder\" 2>/dev/null || :; done"
  elif [ "$before" = nothing ]; then ln -sT -- "${after#link }" "$path"
  else ln -sT -- "${after#link }" "$new"; mv -fT -- "$new" "$path"; fi
  [ ! -e "$parent" ] || sync "$parent"
fi
