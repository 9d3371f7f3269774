# Remove kube-proxy's virtual servers, and interfaces of Kubernetes and the network plugins.
# interfaces: their names, as an extended regular expression. bridges: those of others, a line each.
# After kube_ipvs.sh.
! command -v ipvsadm >/dev/null || kube_ipvs | while read -r option server; do
  ipvsadm -D "$option" "$server" || :
done
for i in /sys/class/net/*; do
  i=${i##*/}
  # Its addresses say which virtual servers are kube-proxy's: it stays, and is listed, with them.
  if [ "$i" = kube-ipvs0 ] && [ -n "$(kube_ipvs)" ]; then continue; fi
  ! echo "$bridges" | grep -qxF "$i" || continue
  ! echo "$i" | grep -qxE "$interfaces" || ip link del "$i" 2>/dev/null || :
done
