# kube-proxy's DaemonSet as kubeadm makes it, in place of the other program.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl -n kube-system delete daemonset site-proxy --wait --ignore-not-found
kubeadm init phase addon kube-proxy --config /root/kubeadm.yaml >/dev/null
kubectl -n kube-system rollout status daemonset kube-proxy --timeout=300s
