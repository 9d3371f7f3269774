# Given: kubeconfig, address, name (of a ConfigMap in kube-system).
if [ ! -r "$kubeconfig" ] || ! command -v kubectl >/dev/null; then echo "end 0"; exit 0; fi
capture kubectl --kubeconfig "$kubeconfig" --server "https://$address:6443" --request-timeout 8s \
  -n kube-system get configmap "$name" --ignore-not-found -o jsonpath='{.metadata.annotations}'
printf '%s\nend %s\n' "$output" "$r"
