# Given: kubeconfig.
need tr
enter /etc/kubernetes
command -v kubectl >/dev/null || { echo no kubectl; exit 0; }
[ -e "$kubeconfig" ] || { echo no kubeconfig; exit 0; }
readable "$kubeconfig"
said=$(KUBERC=off kubectl --kubeconfig "$kubeconfig" --cache-dir /dev/null --request-timeout=5s \
  version -o json 2>&1)
printf 'version %s %s\n' "$?" "$(flat "$said")"
