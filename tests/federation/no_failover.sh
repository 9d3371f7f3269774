# After failover.sh: as before it.
set -e
kubectl --kubeconfig /run/karmada.config delete clustertaintpolicy away
karmadactl --kubeconfig /run/karmada.config unjoin first --cluster-kubeconfig /run/first.config \
  --cluster-context kubernetes-admin@kubernetes
rm /run/first.config
