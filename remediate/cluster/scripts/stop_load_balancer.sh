# vip: removed from this host's interfaces.
systemctl -q disable --now keepalived 2>/dev/null || :
ip -o addr show | grep -F " $vip/" | while read -r _ i _ a _; do
  ip addr del "$a" dev "$i"
done
systemctl -q disable --now haproxy 2>/dev/null || :
