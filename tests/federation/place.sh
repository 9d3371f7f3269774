# As a user of Karmada, with karmadactl and kubectl: a Deployment for the member alone. Given: image.
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl -n karmada-system get secret karmada-admin-config -o 'jsonpath={.data.karmada\.config}' |
  base64 -d >/run/karmada.config
address=$(kubectl -n karmada-system get service karmada-apiserver -o 'jsonpath={.spec.clusterIP}')
grep -q karmada-apiserver /etc/hosts || echo "$address karmada-apiserver.karmada-system.svc" >>/etc/hosts
karmadactl --kubeconfig /run/karmada.config get clusters
kubectl --kubeconfig /run/karmada.config apply -f - <<END
apiVersion: v1
kind: Namespace
metadata: {name: placed}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: far, namespace: placed}
spec:
  replicas: 2
  selector: {matchLabels: {app: far}}
  template:
    metadata: {labels: {app: far}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: echo, image: "$image"}
---
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: far, namespace: placed}
spec:
  resourceSelectors:
  - {apiVersion: apps/v1, kind: Deployment, name: far}
  placement: {clusterAffinity: {clusterNames: [second]}}
END
