# Arguments: the files.
command -v sha256sum stat >/dev/null || { echo "coreutils are missing" >&2; exit 127; }
for f; do
  [ -e "$f" ] || continue
  [ -f "$f" ] || { echo "other - - $f"; continue; }
  sum=$(sha256sum <"$f") || exit 3
  echo "${sum%% *} $(stat -Lc '%a %.Y' -- "$f") $f"
done
