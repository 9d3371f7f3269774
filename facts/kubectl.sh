# Given: kubeconfig.
need tr
enter /etc/kubernetes
command -v kubectl >/dev/null || { echo no kubectl; exit 0; }
[ -e "$kubeconfig" ] || { echo no kubeconfig; exit 0; }
readable "$kubeconfig"
KUBERC=off; export KUBERC
capture kubectl --kubeconfig "$kubeconfig" --cache-dir /dev/null --request-timeout=5s \
  version -o json
printf 'version %s %s\n' "$r" "$(flat "$output")"
