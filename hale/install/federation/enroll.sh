# After hale/apply/karmada_client.sh, on the host. The objects are standard input. Given: name, patience (seconds).
karmada apply --server-side --force-conflicts -f -
karmada wait --for condition=Ready --timeout "${patience}s" --request-timeout 0 "cluster/$name"
