# Arguments: all units. Given: shown (their properties), chrony, timesyncd, ntp, openntpd (lists of
# each program's units). Asks systemd, then each active program; then lists processes of such
# programs. chronyc tries UDP first: over its socket it makes a file in /run for a moment.
need systemctl sed date timeout
systemctl show "$@" --property="$shown" || exit
ask() {
  name=$1; shift
  capture timeout 4 "$@"
  printf '%s\n' "$output" | sed "s/^/$name: /"
  echo "status $name $r"
}
# shellcheck disable=SC2086 # a list of units
active() { systemctl is-active --quiet $1; }
active "$chrony" &&
  ask chrony chronyc -h 127.0.0.1,::1,/run/chrony/chronyd.sock -n -c -m tracking sources
active "$timesyncd" && {
  ask timesyncd timedatectl show-timesync --property=ServerName --property=ServerAddress \
    --property=LinkNTPServers --property=FallbackNTPServers
  ask synchronized date -r /run/systemd/timesync/synchronized +%s
}
# Files and the folder that timesyncd, which runs as a user of its own, cannot read.
private systemd-timesync /etc/systemd/timesyncd.conf /etc/systemd/timesyncd.conf.d \
  /etc/systemd/timesyncd.conf.d/*.conf
active "$ntp" && ask ntp ntpq -n -c "rv 0 leap,stratum,refid,offset" -c peers
active "$openntpd" && ask openntpd ntpctl -s status
for p in /proc/[0-9]*; do
  { read -r comm <"$p/comm"; } 2>/dev/null || continue
  case $comm in chronyd|systemd-timesyn|ntpd) ;; *) continue ;; esac
  caps=$(sed -n 's/^CapEff:[[:space:]]*//p' "$p/status" 2>/dev/null)
  # In a user namespace of its own a process has capabilities, and may not set the clock.
  [ "$(cat "$p/uid_map" 2>/dev/null)" = "$(cat /proc/self/uid_map)" ] || continue
  groups=$(flat "$(cat "$p/cgroup" 2>/dev/null)")
  [ -z "$caps" ] || echo "process ${p#/proc/} $comm $caps $groups"
done
date '+now %s'
