# Given: unit, shown (its properties), config (haproxy's).
need systemctl sed head date tr
output=$(systemctl show "$unit" --property="$shown") || exit
printf '%s\n' "$output"
case $output in *ActiveState=active*) ;; *) exit 0 ;; esac
# Its files are those of its command line: -f, a file or a folder each.
pid=$(systemctl show "$unit" --property=MainPID | tr -dc 0-9)
files=$({ tr '\0' '\n' <"/proc/${pid:-0}/cmdline"; } 2>/dev/null | sed -n '/^-f$/{n;p;}')
socket='^[[:space:]]*stats[[:space:]]+socket[[:space:]]+(unix@)?(/[^[:space:]]*).*'
s=
for f in ${files:-$config}; do
  echo "config $f"
  for one in "$f" "$f"/*.cfg; do
    [ -f "$one" ] || continue
    readable "$one"
    [ -n "$s" ] || s=$(sed -nE "s#$socket#\2#p" "$one" | head -n 1)
  done
done
echo "socket $s"
[ -n "$s" ] || exit 0
[ -S "$s" ] || { echo "nothing at $s"; exit 0; }
[ -w "$s" ] || hidden "$s is not to be used"
command -v socat >/dev/null || missing "socat is not installed: it reads haproxy's stats socket"
echo 'show info;show servers state;show stat -1 4 -1' | socat -t 3 -T 3 - "UNIX-CONNECT:$s" || exit
date '+now %s'
