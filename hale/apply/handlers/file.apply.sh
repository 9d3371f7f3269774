# source: the backup to restore, with its own attributes; empty for an edit, whose new content is
# in step_dir and whose attributes are those of the file that it replaces. One program reads the
# new file and the old one just before it is replaced.
parent=${target%/*}
fail_changed_just_now() { fail_precondition "$path was changed this moment"; }
remove_new_beside "$target"
if [ -n "$checking" ] || [ -z "$after" ]; then
  read_sha256 "$target"
  if [ "$sum" != "$after" ]; then
    exit_if_checking
    [ "$sum" = "$before" ] || fail_changed_just_now
    rm -- "$target"
  fi
else
  [ -z "$before" ] || [ -e "$target" ] || fail_changed_just_now
  attributes=mode,ownership,xattr
  [ ! -e /sys/fs/selinux/enforce ] || attributes=$attributes,context
  [ -d "$parent" ] || mkdir -p -- "$parent"
  new_beside "$target"
  trap '[ ! -e "$new" ] || rm -f -- "$new"' EXIT
  if [ -n "$source" ]; then
    cp --preserve=$attributes,timestamps -- "$source" "$new"
  else
    if [ -e "$target" ]; then cp --attributes-only --preserve=$attributes -- "$target" "$new"
    else chmod 644 "$new"; fi
    cat "$step_dir/new" >"$new"
  fi
  sync "$new"
  set -- "$new"
  [ ! -e "$target" ] || set -- "$new" "$target"
  { read -r first _; read -r second _ || second=; } <<END
$(sha256sum -- "$@")
END
  first=${first#\\} second=${second#\\}  # where a name holds a backslash
  [ "$first" = "$after" ] || { echo "$new: the new bytes did not arrive" >&2; exit 1; }
  if [ "$second" = "$after" ]; then rm -f -- "$new"
  elif [ "$second" != "$before" ]; then fail_changed_just_now
  elif [ -n "$before" ]; then mv -fT -- "$new" "$target"
  else
    ln -T -- "$new" "$target" || fail_precondition "$path is there now; it was not"
    rm -f -- "$new"
    ! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$target"
  fi
fi
[ ! -d "$parent" ] || sync "$parent"
[ -n "$after" ] || eval "for folder in $folders; do rmdir -- \"\$folder\" 2>/dev/null || :; done"
read_sha256 "$target"
[ "$sum" = "$after" ] || { echo "$path is not as it was written" >&2; exit 1; }
