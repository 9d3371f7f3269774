# Given: config (the kubelet's).
need sed grep tr
enter /var/lib/kubelet
[ -e "$config" ] || { echo not joined; exit 0; }
readable "$config"
server=$(sed -n '/^clusterDNS:/{n;s/^ *- *"\{0,1\}\([0-9a-f.:]*\).*/\1/p}' "$config")
domain=$(sed -n 's/^clusterDomain: *"\{0,1\}\([A-Za-z0-9.-]*\).*/\1/p' "$config")
[ -n "$server" ] || { echo no server; exit 0; }
# What a CoreDNS on this node forwards to, unless an option of the kubelet's says otherwise.
resolver=$(sed -n 's/^resolvConf: *"\{0,1\}\([^" ]*\).*/\1/p' "$config")
resolver=${resolver:-/etc/resolv.conf}
if [ -r "$resolver" ] && ! grep -qs -e --resolv-conf /var/lib/kubelet/kubeadm-flags.env \
  /etc/default/kubelet /etc/sysconfig/kubelet; then
  servers=$(sed -n 's/^[[:blank:]]*nameserver[[:blank:]]\{1,\}\([^[:blank:]]*\).*/\1/p' "$resolver")
  echo "resolver $resolver $(flat "$servers")"
fi
ask "$server" "kubernetes.default.svc.${domain:-cluster.local}"
