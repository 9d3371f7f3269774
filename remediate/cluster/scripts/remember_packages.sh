# Before an installation: remember which packages are not there yet. `invoke reset --packages` removes
# no others. After is_installed.sh.
# names: the packages. record: the file, a name a line.
mkdir -p "${record%/*}"
touch "$record"
for name in $names; do
  is_installed "$name" || grep -qxF -- "$name" "$record" || echo "$name" >>"$record"
done
