# As a user of Karmada: a Service of the workload on the second cluster, for Pods of the first.
set -e
kubectl --kubeconfig /run/karmada.config apply -f - <<END
apiVersion: v1
kind: Service
metadata: {name: far, namespace: placed}
spec:
  selector: {app: far}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: networking.karmada.io/v1alpha1
kind: MultiClusterService
metadata: {name: far, namespace: placed}
spec:
  types: [CrossCluster]
  providerClusters: [{name: second}]
  consumerClusters: [{name: first}]
END
