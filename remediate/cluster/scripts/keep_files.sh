# Copy files to a folder, from where restore_kept_files.sh brings them back. Copies are atomic: one
# may be interrupted, and then the first copy is the only one left.
# Arguments: the files. kept: the folder. pki: files, without blanks, that are kept as well if the
# last of them exists.
last=${pki##* }
# shellcheck disable=SC2086  # no blanks
if [ -n "$pki" ] && { [ -s "$last" ] || [ -s "$kept$last" ]; }; then set -- "$@" $pki; fi
for f; do [ ! -e "$f" ] || (umask 077; copy_file "$f" "$kept$f"); done
