# Defines kube_ipvs: kube-proxy's virtual servers, a line each, as ipvsadm(8) names them. They are
# those whose address is on its interface, and node ports that lead to nothing but what those lead to:
# a Service with a node port has a virtual server there too. keepalived's, and the site's own, on
# such a port or not, are left out.
: "${ip_vs:=/proc/net/ip_vs}"
kube_ipvs() {
  [ -r "$ip_vs" ] || return 0
  ip -o addr show dev kube-ipvs0 2>/dev/null | awk '
    function number(hex,  i, n) {
      for (i = 1; i <= length(hex); i++)
        n = 16 * n + index("0123456789ABCDEF", substr(hex, i, 1)) - 1
      return n + 0
    }
    # fd00::1 with all eight groups of four digits, as the kernel writes it.
    function in_full(address,  ends, groups, last, n, i, count, text) {
      n = split(address, ends, "::")
      count = split(ends[1], groups, ":")
      for (i = 1; i <= count; i++) text = text ":" substr("0000" groups[i], length(groups[i]) + 1)
      if (n < 2) return substr(text, 2)
      last = split(ends[2], groups, ":")
      for (i = count + last; i < 8; i++) text = text ":0000"
      for (i = 1; i <= last; i++) text = text ":" substr("0000" groups[i], length(groups[i]) + 1)
      return substr(text, 2)
    }
    FILENAME == "-" { sub("/.*", "", $4); own[$3 == "inet6" ? "[" in_full($4) "]" : $4]; next }
    $1 == "->" { if (n) to[n, ++many[n]] = $2; next }
    { n = 0 }
    $1 !~ /^(TCP|UDP|SCTP)$/ { next }
    $2 ~ /^[0-9A-F]+:[0-9A-F]+$/ {
      split($2, at, ":")
      address = number(substr(at[1], 1, 2)) "." number(substr(at[1], 3, 2)) \
        "." number(substr(at[1], 5, 2)) "." number(substr(at[1], 7, 2))
      port = number(at[2])
    }
    $2 ~ /^\[[0-9a-f:]+\]:[0-9A-F]+$/ {
      address = $2
      sub(/[^]]*$/, "", address)
      port = number(substr($2, length(address) + 2))
    }
    {
      option = $1 == "TCP" ? "-t" : $1 == "UDP" ? "-u" : "--sctp-service"
      n = ++servers
      named[n] = option " " address ":" port
      ours[n] = address in own
      node_port[n] = port >= 30000 && port <= 32767
    }
    END {
      for (n = 1; n <= servers; n++)
        for (i = 1; ours[n] && i <= many[n]; i++) known[to[n, i]]
      for (n = 1; n <= servers; n++) {
        for (i = 1; i <= many[n] && to[n, i] in known; i++);
        if (ours[n] || node_port[n] && many[n] && i > many[n]) print named[n]
      }
    }' - "$ip_vs"
}
