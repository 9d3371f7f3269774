# After hale/apply/karmada.sh, on the member. Given: name. What the join and Karmada have made for themselves.
for kind in clusterrolebinding clusterrole; do
  cluster delete $kind "karmada-controller-manager:karmada-$name" karmada-impersonator --ignore-not-found
done
cluster delete namespace karmada-cluster --ignore-not-found --request-timeout 0 --timeout 120s
