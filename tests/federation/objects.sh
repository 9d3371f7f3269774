# The names of all objects of this cluster, but for those that come and go by themselves.
export KUBECONFIG=/etc/kubernetes/admin.conf
for kind in $(kubectl api-resources --verbs=list -o name); do
  case $kind in events*|leases.*|pods*|endpoint*|componentstatuses|replicasets*|controllerrevisions*) continue ;; esac
  kubectl get "$kind" -A --no-headers -o 'custom-columns=:.metadata.namespace,:.metadata.name' 2>/dev/null |
    sed "s/^/$kind /"
done | grep -v -e bootstrap-token -e kubeadm-certs | sort
