# After keep_files.sh, with its arguments and variables.
for f; do [ ! -e "$kept$f" ] || copy_file "$kept$f" "$f"; done
rm -rf "$kept"
