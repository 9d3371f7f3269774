# Given: unit.
systemctl --quiet mask --runtime "$unit"
[ "$(systemctl show --property=LoadState --value "$unit")" = masked ] || {
  echo "$unit cannot be masked: its unit file is in /etc/systemd/system" >&2; exit 1
}
read -r up _ </proc/uptime; echo "lost $up"
systemctl --quiet kill --signal=KILL "$unit"
# Other processes of that name, such as an ingress controller's, are no matter: by the control group.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  grep -qsE "/$unit(/|\$)" /proc/[0-9]*/cgroup || exit 0
  sleep 0.1
done
exit 1
