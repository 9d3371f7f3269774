# Remove what kubeadm reset leaves: containers, mounts, routes, rules, files.
# pods: the pods' range. chains, tables: of Kubernetes and the network plugins, as extended regular
# expressions; others_cni: names in /etc/cni/net.d of other programs, likewise.
# After unmount_pods.sh.
if [ -S /run/containerd/containerd.sock ]; then
  for c in $(ctr -n k8s.io containers ls -q 2>/dev/null); do
    ctr -n k8s.io tasks kill -s SIGKILL -a "$c" >/dev/null 2>&1 || :
    ctr -n k8s.io tasks rm -f "$c" >/dev/null 2>&1 || :
    ctr -n k8s.io containers rm "$c" >/dev/null 2>&1 || :
  done
fi
awk '$2 ~ "^/run/netns/cni-" { print $2 }' /proc/mounts | sort -r |
  while read -r m; do umount -l "$(printf %b "$m")" || :; done
rm -f /run/netns/cni-* /var/run/netns/cni-* 2>/dev/null || :
[ -z "$pods" ] || ip -o route show root "$pods" 2>/dev/null | while read -r to _; do
  ip route del "$to" 2>/dev/null || :
done
# Everything but the chains of Kubernetes and the network plugins stays as it is.
for t in iptables ip6tables; do
  command -v $t-save >/dev/null || continue
  rules=$($t-save 2>/dev/null) || continue
  echo "$rules" | grep -qE "$chains" || continue
  echo "$rules" | grep -vE "^:($chains)|($chains)" | $t-restore
done
if command -v nft >/dev/null; then
  nft list tables 2>/dev/null | grep -E " ($tables)" | while read -r _ family table; do
    nft delete table "$family" "$table"
  done
fi
for f in /etc/cni/net.d/*; do
  echo "${f##*/}" | grep -qE "$others_cni" || rm -rf --one-file-system -- "$f"
done
rm -rf --one-file-system /etc/kubernetes /var/lib/cni /run/flannel /run/calico /var/lib/calico
find /var/lib/kubelet -xdev -mindepth 1 -delete 2>/dev/null || :
