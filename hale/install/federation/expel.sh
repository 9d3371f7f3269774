# After hale/apply/karmada_client.sh, on the host. Given: name, patience (seconds). The Cluster object goes once
# Karmada has removed from the member what it has placed there.
karmada delete cluster "$name" --ignore-not-found --request-timeout 0 --timeout "${patience}s"
karmada -n karmada-cluster delete secret "$name" "$name-impersonator" --ignore-not-found
