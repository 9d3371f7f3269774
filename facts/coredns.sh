# Given: config (the kubelet's).
need sed
enter /var/lib/kubelet
[ -e "$config" ] || { echo not joined; exit 0; }
readable "$config"
server=$(sed -n '/^clusterDNS:/{n;s/^ *- *"\{0,1\}\([0-9a-f.:]*\).*/\1/p}' "$config")
domain=$(sed -n 's/^clusterDomain: *"\{0,1\}\([A-Za-z0-9.-]*\).*/\1/p' "$config")
[ -n "$server" ] || { echo no server; exit 0; }
ask "$server" "kubernetes.default.svc.${domain:-cluster.local}"
