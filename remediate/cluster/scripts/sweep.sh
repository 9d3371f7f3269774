# Remove what kubeadm reset leaves: containers, mounts, routes, rules, files.
# pods: the pods' range. chains, tables: of Kubernetes and the network plugins, as extended regular
# expressions; others_cni: names in /etc/cni/net.d of other programs, likewise. federation: what
# Karmada's etcd stores.
# After unmount_pods.sh and others_networks.sh.
if [ -S /run/containerd/containerd.sock ]; then
  for c in $(ctr -n k8s.io containers ls -q 2>/dev/null); do
    ctr -n k8s.io tasks kill -s SIGKILL -a "$c" >/dev/null 2>&1 || :
    ctr -n k8s.io tasks rm -f "$c" >/dev/null 2>&1 || :
    ctr -n k8s.io containers rm "$c" >/dev/null 2>&1 || :
  done
fi
for n in /run/netns/cni-*; do
  if [ ! -e "$n" ] || is_used "$n"; then continue; fi
  umount -l "$n" 2>/dev/null || :
  rm -f -- "$n"
done
[ -z "$pods" ] || ip -o route show root "$pods" 2>/dev/null | while read -r to _; do
  ip route del "$to" 2>/dev/null || :
done
# Everything but the chains of Kubernetes and the network plugins stays as it is.
for t in iptables ip6tables; do
  command -v $t-save >/dev/null || continue
  rules=$($t-save 2>/dev/null) || continue
  own=$(own_chains "$rules")
  echo "$rules" | grep -qE "^:($own)" || continue
  echo "$rules" | grep -vE "^:($own)|^-A ($own)| -[jg] ($own)" | $t-restore
done
if command -v nft >/dev/null; then
  own_tables | while read -r _ family table; do
    nft delete table "$family" "$table"
  done
fi
: "${cni_state:=/var/lib/cni}"
networks=$(of_others name)
for f in "$cni_conf"/*; do
  is_others_cni "$f" || rm -rf --one-file-system -- "$f"
done
# Addresses and results by network: a folder, or a file whose name begins with the network's.
find "$cni_state" -xdev ! -type d 2>/dev/null | while read -r f; do
  for n in $networks; do
    case $f in */"$n"/* | */"$n"-*) continue 2;; esac
  done
  rm -f -- "$f"
done
find "$cni_state" -xdev -depth -type d -empty -delete 2>/dev/null || :
rm -rf --one-file-system /run/flannel /run/calico /var/lib/calico "$federation"
find /var/lib/kubelet -xdev -mindepth 1 -delete 2>/dev/null || :
