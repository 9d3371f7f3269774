# Arguments: the files. written: below it, by path, the SHA-256 of all that Hale has written to a
# file. kubelet: the kubelet's kubeconfig.
command -v sha256sum stat >/dev/null || { echo "coreutils are missing" >&2; exit 127; }
[ ! -e "$kubelet" ] || echo joined
for f; do
  [ -e "$f" ] || continue
  [ -f "$f" ] || { echo "other - - $f"; continue; }
  sum=$(sha256sum <"$f") || exit 3
  if [ -f "$written$f" ]; then ! grep -qxF "${sum%% *}" "$written$f" || echo "hale $f"
  elif head -n 2 -- "$f" | grep -q '^# written by Hale'; then echo "hale $f"; fi
  echo "${sum%% *} $(stat -Lc '%a %.Y' -- "$f") $f"
done
