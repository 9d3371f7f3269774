# One line a file: `-`, `+` and its bytes, or `!` and why it cannot be read; in base64.
read_file() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then echo -
  elif e=$(base64 -w0 -- "$1" 2>&1 </dev/null); then printf '+%s\n' "$e"
  else printf '!%s\n' "$(printf %s "$e" | base64 -w0)"; fi
}
