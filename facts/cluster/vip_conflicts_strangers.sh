# Given: vip, me (this host's planned address), seconds to listen.
ask() {
  # The last holder may be gone: the entry is flushed, so that the kernel asks again.
  ip neigh flush to "$vip" >/dev/null 2>&1 || :
  ping -c 1 -W 1 -- "$vip" >/dev/null 2>&1 && echo "answered"
  mac=$(ip neigh show to "$vip" 2>/dev/null |
    sed -n 's/.* lladdr \([0-9a-f:]*\).*/\1/p' | head -n 1)
  [ -z "$mac" ] || echo "neighbour $mac"
}
listen() {
  ! grep -qs 'written by Hale' /etc/keepalived/keepalived.conf || { echo "deaf ours"; return; }
  case $me in *:*) echo "deaf IPv6"; return ;; esac
  command -v socat >/dev/null || { echo "deaf socat is not installed"; return; }
  # shellcheck disable=SC2016  # socat runs it in a shell of its own
  timeout "$seconds" socat -u "IP4-RECVFROM:112,ip-add-membership=224.0.0.18:$me,fork" \
    SYSTEM:'echo "heard $SOCAT_PEERADDR $(od -An -v -tx1 -N28 | tr -d "\n")"' 2>/dev/null | sort -u
}
command -v ip >/dev/null || { echo "ip (iproute2) is missing" >&2; exit 127; }
ip -o addr show | grep -qF " $vip/" || ask &
listen
wait
exit 0
