# Before kubeadm join: note that it begins, and the cluster, on a host that has nothing of kubeadm's.
# After note_began.sh.
# Arguments: kubeadm's files. digest: the SHA-256 of the cluster's CA.
for f; do
  [ ! -e "$f" ] || { echo "$f is there by now: nothing was changed" >&2; exit 1; }
done
note_began "$digest"
