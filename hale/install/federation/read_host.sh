# After hale/apply/karmada_client.sh. What Karmada knows: `uid UID`, `member NAME UID-`, `placed MEMBER WORKLOAD`; pods of CoreDNS.
uid=$(cluster get namespace kube-system -o 'jsonpath={.metadata.uid}')
echo "uid $uid"
karmada get clusters -o 'jsonpath={range .items[*]}member {.metadata.name} {.spec.id}-{"\n"}{end}'
# A workload that is to move runs on its old member until it is ready on another one.
for kind in resourcebindings clusterresourcebindings; do
  karmada get $kind -A -o 'jsonpath={range .items[*]}{.spec.resource.kind}/{.spec.resource.namespace}/{.spec.resource.name}{range .spec.clusters[*]} {.name}{end}{range .spec.gracefulEvictionTasks[*]} {.fromCluster}{end}{"\n"}{end}'
done | while read -r workload members; do
  for member in $members; do echo "placed $member $workload"; done
done
dns_pods
echo end
