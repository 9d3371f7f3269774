# After hale/apply/karmada_client.sh. Given: namespace of the workload as `space`; name; replicas; objects
# (JSON); patience (seconds).
printf %s "$objects" | karmada apply -f - >/dev/null
karmada -n "$space" wait --for "jsonpath={.status.readyReplicas}=$replicas" --timeout "${patience}s" \
  --request-timeout 0 "deployment/$name" >/dev/null || {
  karmada -n "$space" get resourcebindings -o wide >&2; exit 1
}
