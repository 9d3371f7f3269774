# Given: kubeconfig, address, objects (JSON), template (JSONPath).
[ -e "$kubeconfig" ] || { echo absent; exit 0; }
readable "$kubeconfig"
command -v kubectl >/dev/null || { echo absent; exit 0; }
get() {
  printf '%s' "$objects" | kubectl --kubeconfig "$kubeconfig" --server "https://$address:6443" \
    --request-timeout 8s get -f - --ignore-not-found -o jsonpath="$template"
}
capture get
printf '%s\nend %s\n' "$output" "$r"
