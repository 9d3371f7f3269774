# Arguments: kubeadm's files. Given: vip, pods (CIDR, may be empty), and extended regular
# expressions: interfaces, chains, tables, others_cni (names of others' files in
# /etc/cni/net.d). After kube_ipvs.sh and others_networks.sh.
if command -v ctr >/dev/null && [ -S /run/containerd/containerd.sock ]; then
  ctr -n k8s.io containers ls -q 2>/dev/null | sed 's/^/container /'
fi
# In a Pod's control group, or root's shim of a Pod's containers: others may have such names.
# shellcheck disable=SC2013  # no blanks in these names
{
  grep -sE '/(([^/]*-)?kubepods[.]slice|kubepods)(/|$)' /proc/[0-9]*/cgroup | grep -v /user.slice/ | cut -d: -f1
  for f in $(grep -lsx 'containerd-shim.*' /proc/[0-9]*/comm); do
    tr '\000' '\n' <"${f%comm}cmdline" 2>/dev/null | sed -n '/^-namespace$/{n;p;}' |
      grep -qxF k8s.io || continue
    ! grep -qsE '^Uid:[[:space:]]*0[[:space:]]+0[[:space:]]' "${f%comm}status" || echo "$f"
  done
} | sed 's|/[a-z]*$|/comm|' | sort -u | xargs -r cat 2>/dev/null | sed 's/^/process /'
awk '$2 ~ "^(/var/lib/kubelet/|/run/containerd/io[.])" { print "mount " $2 }' /proc/mounts
for n in /run/netns/cni-*; do
  [ ! -e "$n" ] || is_used "$n" || echo "mount $n"
done
bridges=$(of_others bridge)
for i in /sys/class/net/*; do
  echo "${i##*/}" | grep -xE "$interfaces" | grep -vxF "$bridges" | sed 's/^/interface /'
done
for t in iptables ip6tables; do
  command -v $t-save >/dev/null || continue
  rules=$($t-save 2>/dev/null) || continue
  own=$(own_chains "$rules")
  echo "$rules" | grep -E "^:($own)" | cut -d' ' -f1 | sed "s/^:/rule $t /"
done
! command -v nft >/dev/null || own_tables | sed 's/^/rule nft /'
kube_ipvs | sed 's/^/rule ipvs /'
[ -z "$pods" ] || ip -o route show root "$pods" 2>/dev/null | sed 's/^/route /'
! ip -o addr show | grep -qF " $vip/" || echo "vip $vip"
for f in "$@" /etc/cni/net.d/*; do
  case $f in /etc/cni/*) ! is_others_cni "$f" || continue;; esac
  [ ! -e "$f" ] || echo "file $f"
done
for f in /etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf; do
  ! grep -qs 'written by Hale' $f || echo "file $f"
done
! systemctl -q is-active kubelet || echo "service kubelet"
echo end
