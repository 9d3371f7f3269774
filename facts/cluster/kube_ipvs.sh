# Defines kube_ipvs: kube-proxy's virtual servers, a line each, as ipvsadm(8) names them. They are
# those whose address is on its interface, and node ports; keepalived's, and the site's own, are
# left out.
: "${ip_vs:=/proc/net/ip_vs}"
kube_ipvs() {
  [ -r "$ip_vs" ] || return 0
  ip -o -4 addr show dev kube-ipvs0 2>/dev/null | awk '
    function number(hex,  i, n) {
      for (i = 1; i <= length(hex); i++)
        n = 16 * n + index("0123456789ABCDEF", substr(hex, i, 1)) - 1
      return n + 0
    }
    FILENAME == "-" { sub("/.*", "", $4); own[$4]; next }
    $1 ~ /^(TCP|UDP|SCTP)$/ && $2 ~ /^[0-9A-F]+:[0-9A-F]+$/ {
      split($2, at, ":")
      address = number(substr(at[1], 1, 2)) "." number(substr(at[1], 3, 2)) \
        "." number(substr(at[1], 5, 2)) "." number(substr(at[1], 7, 2))
      port = number(at[2])
      option = $1 == "TCP" ? "-t" : $1 == "UDP" ? "-u" : "--sctp-service"
      if (address in own || port >= 30000 && port <= 32767) print option " " address ":" port
    }' - "$ip_vs"
}
