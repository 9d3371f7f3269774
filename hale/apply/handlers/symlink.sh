# Given: path, before and after (`nothing` or `link TARGET`). Sets now.
if [ -L "$path" ]; then now="link $(readlink -- "$path")"
elif [ -e "$path" ]; then now="no link"
else now=nothing; fi
