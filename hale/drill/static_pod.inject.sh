# Given: name (of the process), there (the manifest), aside (where it is moved to). After
# hale/processes.sh.
mv -nT "$there" "$aside"
sync "${aside%/*}" "${there%/*}"
read -r up _ </proc/uptime; echo "lost $up"
# Until the kubelet has noticed the missing manifest, it may restart the Pod once more.
for n in 1 2 3 4 5 6 7 8 9 10; do
  pids=$(static_pids "$name")
  [ -n "$pids" ] || [ $n = 1 ] || break
  # shellcheck disable=SC2086  # words
  [ -z "$pids" ] || kill -9 $pids 2>/dev/null
  sleep 0.2
done
[ ! -e "$there" ] && [ -z "$(static_pids "$name")" ]
