# As a user of Karmada: the first cluster is a member too, and workloads leave one that is not Ready. Given: vip.
set -e
sed "s#server: .*#server: https://$vip:16443#" /etc/kubernetes/admin.conf >/run/first.config
karmadactl --kubeconfig /run/karmada.config join first --cluster-kubeconfig /run/first.config
kubectl --kubeconfig /run/karmada.config wait --for condition=Ready --timeout 120s cluster/first
kubectl --kubeconfig /run/karmada.config apply -f - <<END
apiVersion: policy.karmada.io/v1alpha1
kind: ClusterTaintPolicy
metadata: {name: away}
spec:
  targetClusters: {clusterNames: [second]}
  addOnConditions:
  - {conditionType: Ready, operator: NotIn, statusValues: ["True"]}
  removeOnConditions:
  - {conditionType: Ready, operator: In, statusValues: ["True"]}
  taints:
  - {key: example.org/away, effect: NoExecute}
END
