# After unmount_pods.sh. kubeadm's own removal of the etcd member would talk to a cluster that is
# going away too; that of a node that leaves alone was removed before.
if command -v kubeadm >/dev/null && [ -S /run/containerd/containerd.sock ]; then
  kubeadm reset --force --skip-phases=remove-etcd-member
fi
