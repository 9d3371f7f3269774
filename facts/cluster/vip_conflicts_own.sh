# Given: vip, me (this host's planned address).
command -v ip >/dev/null || { echo "ip (iproute2) is missing" >&2; exit 127; }
ip -o addr show | while read -r _ i _ a _; do
  [ "${a%/*}" != "$me" ] || { echo "interface $i"; echo "mac $(cat "/sys/class/net/$i/address")"; }
  [ "${a%/*}" != "$vip" ] || echo "held $i"
done
