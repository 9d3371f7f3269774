# Unmount what pods have mounted. If anything stays mounted, stop: `kubeadm reset` and sweep.sh
# delete all below the kubelet's folder, on volumes too (kubernetes/kubeadm#2923).
kubelet=$(readlink -f /var/lib/kubelet || echo /var/lib/kubelet)
mounted_below() { awk -v below="$kubelet/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo; }
mounted_below | sort -r | while read -r m; do
  m=$(printf '%b.' "$m")
  umount -l -- "${m%.}" || :
done
remaining=$(mounted_below)
[ -z "$remaining" ] || {
  printf 'still mounted, so nothing is deleted; unmount it, and run this again:\n%b\n' "$remaining" >&2
  exit 1
}
