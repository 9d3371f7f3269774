# Write a file atomically: beside its place, checked, then renamed over what is there.
# Reads the content, base64, from standard input; prints `same` or `changed`.
# path, mode. suffix: of the temporary file's name. backup: where the first original is kept; empty
# for nowhere. check: a command that must pass, with the new file as $new. after: a command that is
# run if the file has changed. invalid: the exit status if `check` fails.
set -eu
umask 022
folder=$(dirname -- "$path")
mkdir -p -- "$folder"
new=$folder/$suffix
trap 'rm -f -- "$new"' EXIT
(umask 077; base64 -d >"$new")
chmod "$mode" "$new"
chown 0:0 "$new"
if [ -f "$path" ] && [ ! -L "$path" ] && cmp -s -- "$new" "$path" &&
  [ "$(stat -c %a "$path")" = "$mode" ]
then echo same; exit; fi
export new
(eval "$check") >&2 || exit "$invalid"
if [ -n "$backup" ] && [ ! -e "$backup" ] && [ ! -e "$backup.absent" ]; then
  (umask 077; mkdir -p -- "${backup%/*}")
  if [ -e "$path" ]; then cp -a -- "$path" "$backup.part"; mv -- "$backup.part" "$backup"
  else : >"$backup.absent"; fi
fi
replace_file "$new" "$path"
! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$path"
eval "$after"
echo changed
