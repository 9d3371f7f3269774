# After service.sh: as before it.
set -e
kubectl --kubeconfig /run/karmada.config -n placed delete multiclusterservice/far service/far
