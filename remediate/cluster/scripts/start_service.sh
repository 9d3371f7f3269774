# Enable and start, restart or reload a service, and wait for its port.
# unit. action: of systemctl. port: 0 for none.
systemctl -q is-enabled "$unit" || systemctl -q enable "$unit"
! systemctl -q is-failed "$unit" || systemctl reset-failed "$unit"
systemctl "$action" "$unit"
n=0
until systemctl -q is-active "$unit" && { [ "$port" = 0 ] || ss -Hltn | grep -q ":$port "; }; do
  n=$((n + 1))
  [ $n -lt 50 ] || { journalctl -u "$unit" -n 5 --no-pager -o cat >&2; exit 1; }
  sleep 0.2
done
