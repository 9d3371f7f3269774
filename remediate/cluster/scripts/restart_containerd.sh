# unit: containerd's.
systemctl restart "$unit"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  ctr version >/dev/null 2>&1 && exit
  sleep 1
done
journalctl -u "$unit" -n 5 --no-pager -o cat >&2
exit 1
