# Given: path, before and after (SHA-256, or empty for no file). Sets target: the file behind links.
target=$path
if [ -L "$path" ]; then
  target=$(readlink -e -- "$path") || fail_precondition "$path is a link that leads nowhere"
fi
[ ! -e "$target" ] || [ -f "$target" ] || fail_precondition "$path is not a file"
