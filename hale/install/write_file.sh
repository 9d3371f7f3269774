# Write a file: beside its place, checked, then renamed over what is there.
# Reads the content, base64, from standard input; prints `same` or `changed`.
# path, mode. backup: where the first original is kept; empty for nowhere. check: a command that
# must pass, with the new file as $new. after: a command that is run if the file has changed.
# invalid: the exit status if `check` fails. written: where the SHA-256 of all that Hale writes here
# is kept. replaced: below it, copies of files without such a record. replaces: the SHA-256 that the
# file must have, or `none`'s value for no file; empty for any. different: the exit status if it has
# another.
set -eu
umask 022
require_unchanged() {
  [ -n "$replaces" ] || return 0
  now=$none
  if [ -e "$path" ] || [ -L "$path" ]; then
    now=$(sha256sum <"$path" 2>/dev/null) || now=unreadable
    now=${now%% *}
  fi
  [ "$now" = "$replaces" ] || {
    echo "SHA-256 of $path: $replaces when it was read, $now now" >&2
    exit "$different"
  }
}
note_written() {
  sum=$(sha256sum <"$new"); sum=${sum%% *}
  ! grep -qsxF "$sum" "$written" || return 0
  (umask 077; mkdir -p -- "${written%/*}"
   { [ ! -e "$written" ] || cat -- "$written"; echo "$sum"; } >"$written.part")
  replace_file "$written.part" "$written"
}
resolve "$path" nofollow
path=$target
mkdir -p -- "${path%/*}"
remove_new_beside "$path"
new_beside "$path"
trap 'rm -f -- "$new"' EXIT
base64 -d >"$new"
chmod "$mode" "$new"
chown 0:0 "$new"
if [ -f "$path" ] && [ ! -L "$path" ] && cmp -s -- "$new" "$path" &&
  [ "$(stat -c %a "$path")" = "$mode" ]
then note_written; echo same; exit; fi
[ -L "$path" ] || require_one_name
require_unchanged
export new
(eval "$check") >&2 || exit "$invalid"
if [ -n "$backup" ] && [ ! -e "$backup" ] && [ ! -e "$backup.absent" ]; then
  (umask 077; mkdir -p -- "${backup%/*}")
  if [ -e "$path" ]; then cp -a -- "$path" "$backup.part"; mv -- "$backup.part" "$backup"
  else : >"$backup.absent"; fi
elif [ -n "$backup" ] && [ -f "$path" ] && [ ! -e "$written" ]; then
  # Of an earlier Hale, and perhaps edited since.
  (umask 077; mkdir -p -- "$replaced"
   cp -a -- "$path" "$replaced/${path##*/}.$(date -u +%Y%m%dT%H%M%S.%N)")
fi
note_written  # before the file: after a power cut in between, either content is known
require_unchanged  # the check may have taken its time
replace_file "$new" "$path"
! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$path"
eval "$after"
echo changed
