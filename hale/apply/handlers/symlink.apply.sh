remove_new_beside "$target"
if [ "$now" != "$after" ]; then
  exit_if_checking
  [ "$now" = "$before" ] || fail_precondition "$path: expected $before, found $now"
  [ -d "$parent" ] || mkdir -p -- "$parent"
  if [ "$after" = nothing ]; then
    rm -- "$target"
    eval "for folder in $folders; do rmdir -- \"\$folder\" 2>/dev/null || :; done"
  elif [ "$before" = nothing ]; then ln -sT -- "${after#link }" "$target"
  else
    new=$(mktemp -u -- "$parent/.hale-new.XXXXXXXXXX")
    trap '[ ! -L "$new" ] || rm -f -- "$new"' EXIT
    ln -sT -- "${after#link }" "$new"
    mv -fT -- "$new" "$target"
  fi
  [ ! -e "$parent" ] || sync "$parent"
fi
