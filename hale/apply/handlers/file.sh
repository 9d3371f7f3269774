# Given: path, before and after (SHA-256, or empty for no file). Sets target: the file behind links.
resolve "$path" || exit "$PRECONDITION_FAILED"
[ ! -L "$path" ] || [ -e "$target" ] || fail_precondition "$path is a link that leads nowhere"
[ ! -e "$target" ] || [ -f "$target" ] || fail_precondition "$path is not a file"
