# Given: pid (etcd's), killer (the name of the unit that kills it at every restart).
read -r up _ </proc/uptime; echo "lost $up"
systemd-run --quiet --collect --unit="$killer" \
  /bin/sh -c 'while :; do pkill -9 -x etcd; sleep 0.1; done'
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.1; done
exit 1
