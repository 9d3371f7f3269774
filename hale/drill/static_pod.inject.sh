# Given: name (of the process), there (the manifest), aside (where it is moved to).
mv -nT "$there" "$aside"
sync "${aside%/*}" "${there%/*}"
read -r up _ </proc/uptime; echo "lost $up"
# Until the kubelet has noticed the missing manifest, it may restart the Pod once more.
for n in 1 2 3 4 5 6 7 8 9 10; do
  pkill -9 -x "$name" || [ $n = 1 ] || break
  sleep 0.2
done
[ ! -e "$there" ] && ! pgrep -x "$name" >/dev/null
