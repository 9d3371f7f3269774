# After hale/apply/karmada.sh. The cluster's identity, its pods of CoreDNS, and `account HOST-`, where Karmada has one.
uid=$(cluster get namespace kube-system -o 'jsonpath={.metadata.uid}')
echo "uid $uid"
dns_pods
cluster get namespace karmada-cluster --ignore-not-found \
  -o 'jsonpath=account {.metadata.labels.hale-federation}-{"\n"}'
echo end
