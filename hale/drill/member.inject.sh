# Given: preference. Arguments: addresses and ranges.
read -r up _ </proc/uptime; echo "lost $up"
for at; do
  case $at in *:*) family=-6 ;; *) family=-4 ;; esac
  ip "$family" rule add pref "$preference" to "$at" blackhole || exit 1
done
