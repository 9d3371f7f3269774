# Until the boot has ended, and chrony has a source, where it runs: it measures for 5 s while its unit
# starts (image_chrony.sh), which a busy machine exceeds. One that has none is waited for a minute.
systemctl is-system-running --wait
n=0
while [ $n -lt 240 ] && systemctl -q is-active chrony &&
  ! chronyc -h 127.0.0.1 -n -c sources | grep -q '^\^,\*,'; do
  n=$((n + 1))
  sleep 0.25
done
