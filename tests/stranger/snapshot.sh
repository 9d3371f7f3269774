# Everything of a host that a command could change, a line each: `kind key<TAB>value`. What moves by
# itself is left out: logs, caches, leases, statistics, data of running programs.
export LC_ALL=C
prune='/proc|/sys|/dev|/run|/tmp|/var/tmp|/var/log|/var/cache|/var/lib/apt/lists|/var/lib/chrony|/var/lib/systemd|/var/lib/private|/data|/var/lib/containerd|/var/lib/etcd|/var/lib/hale/tmp'
find / -xdev -regextype posix-extended -regex "($prune)" -prune -o \
  \( -type f -o -type l -o -type d \) -printf 'file %p\t%y %m %U:%G %l' \
  \( -type f -printf ' %s %C@' -o -printf '' \) -printf '\n' |
  grep -vE '^file (/etc/cni/net\.d|/etc/cni/net\.d/10-lab\.conflist\.new|/root/\.kube.*|/var/lib/cni.*|/var/lib/dbus.*)	'
find /var/lib/kubelet -xdev -maxdepth 2 -not -path '/var/lib/kubelet/pods*' \
  -not -path '/var/lib/kubelet/*/*' -type f -printf 'file %p\t%m %U:%G %s %C@\n' |
  grep -vE '_manager_state'
# What volumes hold, through their mounts too.
find /srv /var/lib/kubelet/pods/5e1f* -type f -exec sha256sum {} + 2>/dev/null |
  awk '{ print "volume " $2 "\t" $1 }'
systemctl list-unit-files --no-legend --plain --type=service,timer,socket,mount |
  awk '{ print "enabled " $1 "\t" $2 }'
systemctl list-units --all --no-legend --plain --type=service |
  awk '$1 !~ /^(user|session|run-|apt-|systemd-|e2scrub|fstrim|logrotate|dpkg|man-db|hale)/ { print $1 }' |
  while read -r unit; do
    printf 'unit %s\t%s\n' "$unit" \
      "$(systemctl show "$unit" -p ActiveState,MainPID,ActiveEnterTimestampMonotonic | xargs)"
  done
awk '$5 !~ "^/(proc|sys|dev|run)" { print "mount " $5 "\t" $4 " " $0 }' /proc/self/mountinfo |
  sed 's/\t\([^ ]*\) .* - /\t\1 /' | sed 's/ rw,.*//'
ip -o addr show | awk '$2 !~ /^(veth|lo)/ { print "address " $2 " " $4 "\t" }'
ip -o link show | awk '$2 !~ /^veth/ { sub(/@.*|:$/, "", $2); print "interface " $2 "\t" }'
ip route | grep -v veth | awk '{ print "route " $0 "\t" }'
nft -s list tables | awk '{ print "table " $0 "\t" }'
! nft list table inet site >/dev/null 2>&1 || printf 'rules site\t%s\n' "$(nft -s list table inet site | sha256sum)"
cat /var/lib/site/ipvs 2>/dev/null | awk '{ print "ipvs " $0 "\t" }'
sysctl -a 2>/dev/null | grep -E '^net\.(ipv4\.(ip_forward|ip_nonlocal)|bridge)' | awk '{ print "sysctl " $1 "\t" $3 }'
# Programs that run for long, by number and begin: one that was restarted has others.
for stat in /proc/[0-9]*/stat; do
  pid=${stat#/proc/}
  pid=${pid%/stat}
  name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
  case $name in
    containerd-shim|containerd|kubelet|kube-*|etcd|coredns|haproxy|keepalived|pause|echo|chronyd|sshd)
      parent=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status" 2>/dev/null) || continue
      [ "$name" != sshd ] || [ "$parent" = 1 ] || continue
      printf 'process %s %s\t%s\n' "$name" "$pid" "$(sed 's/.*) //' "$stat" 2>/dev/null | cut -d' ' -f20)" ;;
  esac
done
true
