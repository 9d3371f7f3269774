# Whether containerd reads a file that is to be imported, $new, and would change only what it names.
# config: the file that is to import it.
# shellcheck disable=SC2154  # write_file.sh exports `new`
version=$(sed -n "s/^version = //p" "$new")
both=$(mktemp)
trap 'rm -f -- "$both"' EXIT
printf 'version = %s\nimports = ["%s", "%s"]\n' "$version" "$config" "$new" >"$both"
others() {
  dump=$(containerd -c "$1" config dump) || exit 1
  printf '%s\n' "$dump" | grep -vE '^[[:space:]]*(imports|sandbox|config_path|SystemdCgroup) ='
}
before=$(others "$config") && after=$(others "$both") || exit 1
[ "$before" = "$after" ] || {
  echo "containerd would change other settings too" >&2
  exit 1
}
