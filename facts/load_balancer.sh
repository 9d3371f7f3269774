# Given: unit, shown (its properties), config (haproxy's).
need systemctl sed head date
said=$(systemctl show "$unit" --property="$shown") || exit
printf '%s\n' "$said"
case $said in *ActiveState=active*) ;; *) exit 0 ;; esac
readable "$config"
line='^[[:space:]]*stats[[:space:]]+socket[[:space:]]+(unix@)?(/[^[:space:]]*).*'
s=$(sed -nE "s#$line#\2#p" "$config" | head -n 1)
echo "socket $s"
[ -n "$s" ] || exit 0
[ -S "$s" ] || { echo "nothing at $s"; exit 0; }
[ -w "$s" ] || hidden "$s is not to be used"
command -v socat >/dev/null || missing "socat is not installed: it reads haproxy's stats socket"
echo 'show info;show servers state;show stat -1 4 -1' | socat -t 3 -T 3 - "UNIX-CONNECT:$s" || exit
date '+now %s'
