# Given: path, before and after (`nothing` or `link TARGET`). Sets now, and parent: its folder.
resolve "$path" nofollow || exit "$PRECONDITION_FAILED"
parent=${target%/*}
if [ -L "$target" ]; then now="link $(readlink -- "$target")"
elif [ -e "$target" ]; then now="no link"
else now=nothing; fi
