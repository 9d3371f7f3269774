# Given: pid (etcd's), killer (the name of the unit that kills it at every restart), loop (its
# script).
read -r up _ </proc/uptime; echo "lost $up"
systemd-run --quiet --collect --unit="$killer" /bin/sh -c "$loop"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.1; done
exit 1
