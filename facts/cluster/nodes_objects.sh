# Given: kubeconfig, address, objects (JSON), template (JSONPath).
[ -e "$kubeconfig" ] || { echo absent; exit 0; }
[ -r "$kubeconfig" ] || { echo "$kubeconfig is not readable by this user" >&2; exit 3; }
command -v kubectl >/dev/null || { echo absent; exit 0; }
said=$(printf '%s' "$objects" | kubectl --kubeconfig "$kubeconfig" \
  --server "https://$address:6443" --request-timeout 8s get -f - --ignore-not-found \
  -o jsonpath="$template" 2>&1) && r=0 || r=$?
printf '%s\nend %s\n' "$said" "$r"
