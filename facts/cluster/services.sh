# Arguments: the units.
command -v systemctl >/dev/null || { echo "there is no systemd" >&2; exit 127; }
hz=$(getconf CLK_TCK 2>/dev/null || echo 100)
for u; do
  eval "$(systemctl show -p LoadState -p ActiveState -p UnitFileState -p MainPID -- "$u" |
    sed 's/^\([A-Za-z]*\)=\(.*\)$/\1="\2"/')"
  newest=0
  if [ "$MainPID" != 0 ]; then
    for p in "$MainPID" $(cat "/proc/$MainPID/task/$MainPID/children" 2>/dev/null); do
      read -r l <"/proc/$p/stat" 2>/dev/null || continue
      # shellcheck disable=SC2086  # words of numbers
      set -- ${l##*) }; shift 19; [ "$1" -le "$newest" ] || newest=$1
    done
  fi
  echo "$u $LoadState $ActiveState ${UnitFileState:-none} $newest"
done
read -r up rest </proc/uptime
echo "now $(date +%s.%N) $up $hz"
