# After an installation: forget what was remembered and not installed.
# record: the file, a name a line. After is_installed.sh.
while read -r name; do
  ! is_installed "$name" || echo "$name"
done <"$record" >"$record.new"
mv -f "$record.new" "$record"
