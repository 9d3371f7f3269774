# Enable and start, restart or reload a service, and wait for its ports.
# unit. action: of systemctl. ports: empty for none.
systemctl -q is-enabled "$unit" || systemctl -q enable "$unit"
! systemctl -q is-failed "$unit" || systemctl reset-failed "$unit"
systemctl "$action" "$unit"
listens() {
  for port in $ports; do
    ss -Hltn | grep -q ":$port " || return 1
  done
}
n=0
until systemctl -q is-active "$unit" && listens; do
  n=$((n + 1))
  [ $n -lt 50 ] || { journalctl -u "$unit" -n 5 --no-pager -o cat >&2; exit 1; }
  sleep 0.2
done
