# Given: comm (a process's name, of at most 15 characters), path (an extended regular expression).
# Only root's processes in the host's own network count: anyone may have one of that name. The file
# that runs decides, or the script that an interpreter runs: any program may have a path among its
# arguments, as an editor or `tail` has.
by_name() {
  for file in /proc/[0-9]*/comm; do
    { read -r name <"$file"; } 2>/dev/null && [ "$name" = "$comm" ] && echo "$file"
  done
}
by_path=$(grep -lzsE "$path" /proc/[0-9]*/cmdline)
[ $? -le 2 ] && [ -r /proc/1/comm ] || exit
# runs PID: whether it runs the program. Without its `exe` (a user who is not root) argv[0] counts.
runs() {
  words=$(tr '\000' '\n' <"/proc/$1/cmdline" 2>/dev/null)
  exe=$(readlink "/proc/$1/exe" 2>/dev/null) || exe=${words%%"
"*}
  exe=${exe% (deleted)}
  case ${exe##*/} in
    "$comm") return ;;
    *python* | perl* | ruby* | sh | bash | dash) ;;
    *) return 1 ;;
  esac
  # An interpreter: the name is the script's where the kernel has run that, by its first line.
  { read -r name <"/proc/$1/comm"; } 2>/dev/null && [ "$name" = "$comm" ] && return
  printf '%s\n' "$words" | sed '1d; /^-/d; /./!d; q' | grep -qE "$path"
}
net=
for file in $(by_name) $by_path; do
  grep -qsE '^Uid:[[:space:]]*[0-9]+[[:space:]]+0[[:space:]]' "${file%/*}/status" || continue
  net=${net:-$(readlink /proc/1/ns/net 2>/dev/null)}
  its=$(readlink "${file%/*}/ns/net" 2>/dev/null)
  [ -z "$its" ] || [ -z "$net" ] || [ "$its" = "$net" ] || continue
  pid=${file#/proc/}
  runs "${pid%/*}" || continue
  echo "$file"
done
