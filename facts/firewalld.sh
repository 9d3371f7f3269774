# Given: comm (a process's name, of at most 15 characters), path (an extended regular expression).
# Only root's processes in the host's own network count: anyone may have one of that name.
by_name() {
  for file in /proc/[0-9]*/comm; do
    { read -r name <"$file"; } 2>/dev/null && [ "$name" = "$comm" ] && echo "$file"
  done
}
by_path=$(grep -lzsE "$path" /proc/[0-9]*/cmdline)
[ $? -le 2 ] && [ -r /proc/1/comm ] || exit
net=$(readlink /proc/1/ns/net 2>/dev/null)
for file in $(by_name) $by_path; do
  grep -qsE '^Uid:[[:space:]]*[0-9]+[[:space:]]+0[[:space:]]' "${file%/*}/status" || continue
  its=$(readlink "${file%/*}/ns/net" 2>/dev/null)
  [ -z "$its" ] || [ -z "$net" ] || [ "$its" = "$net" ] || continue
  echo "$file"
done
