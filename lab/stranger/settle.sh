# Until everything runs.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl wait nodes --all --for=condition=Ready --timeout=400s
for each in kube-system/site-dns shop/shop tenant/control-plane; do
  kubectl -n "${each%/*}" rollout status deployment "${each#*/}" --timeout=400s
done
for each in kube-proxy lab-network; do
  kubectl -n kube-system rollout status daemonset "$each" --timeout=400s
done
kubectl -n kube-system wait pods --all --for=condition=Ready --timeout=400s
