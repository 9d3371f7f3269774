# After hale/apply/karmada.sh, on the member. Given: name; host (its uid). Makes the account of Karmada's controllers, and prints
# its token, that of the account by which it acts for users, and the cluster's CA, in base64.
cluster apply --server-side --force-conflicts -f - >&2 <<END
apiVersion: v1
kind: Namespace
metadata: {name: karmada-cluster, labels: {hale-federation: "$host"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: karmada-$name, namespace: karmada-cluster}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: karmada-impersonator, namespace: karmada-cluster}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: karmada-$name
  namespace: karmada-cluster
  annotations: {kubernetes.io/service-account.name: karmada-$name}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: karmada-impersonator
  namespace: karmada-cluster
  annotations: {kubernetes.io/service-account.name: karmada-impersonator}
---
# Karmada places objects of any kind on a member.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "karmada-controller-manager:karmada-$name"}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
- {nonResourceURLs: ["*"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "karmada-controller-manager:karmada-$name"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "karmada-controller-manager:karmada-$name"}
subjects:
- {kind: ServiceAccount, name: karmada-$name, namespace: karmada-cluster}
END
for account in "karmada-$name" karmada-impersonator; do
  n=0
  while :; do
    token=$(cluster -n karmada-cluster get secret "$account" -o 'jsonpath={.data.token}')
    [ -z "$token" ] || break
    n=$((n + 1)); [ $n -lt 60 ] || { echo "no token for $account" >&2; exit 1; }
    sleep 1
  done
  echo "token $token"
done
echo "ca $(cluster -n karmada-cluster get secret "karmada-$name" -o 'jsonpath={.data.ca\.crt}')"
echo end
