# Restore files, or remove those that did not exist before Hale. One that the site has edited since
# Hale wrote it stays.
# Arguments: the files. backups: the folder of backups. written: as of write_file.sh. folder: removed
# where it is empty now.
for p; do
  o=$backups$p
  if [ -f "$p" ] && [ -f "$written$p" ]; then
    sum=$(sha256sum <"$p")
    grep -qxF "${sum%% *}" "$written$p" || {
      echo "note: $p was edited since Hale wrote it, so it stays"
      continue
    }
  fi
  if [ -e "$o" ]; then
    copy_file "$o" "$p"
    rm -f -- "$o"
  elif [ -e "$o.absent" ]; then rm -f -- "$p" "$o.absent"; fi
  ! grep -qs 'written by Hale' "$p" || rm -f -- "$p"
done
rmdir "$folder" 2>/dev/null || :
