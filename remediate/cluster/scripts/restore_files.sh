# Restore files, or remove those that did not exist before Hale.
# Arguments: the files. backups: the folder of backups. folder: removed where it is empty now.
for p; do
  o=$backups$p
  if [ -e "$o" ]; then
    copy_file "$o" "$p"
    rm -f -- "$o"
  elif [ -e "$o.absent" ]; then rm -f -- "$p" "$o.absent"; fi
  ! grep -qs 'written by Hale' "$p" || rm -f -- "$p"
done
rmdir "$folder" 2>/dev/null || :
