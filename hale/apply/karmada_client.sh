# After hale/apply/karmada.sh.
cluster -n "$namespace" get secret karmada-admin-config -o 'jsonpath={.data.karmada\.config}' |
  base64 -d >"$memory/config"
[ -s "$memory/config" ] || { echo 'there is no Karmada of Hale here: invoke install' >&2; exit 1; }
address=$(cluster -n "$namespace" get service karmada-apiserver -o 'jsonpath={.spec.clusterIP}')
case $address in *:*) address="[$address]" ;; esac
karmada() {
  kubectl --kubeconfig "$memory/config" --server "https://$address:5443" --request-timeout 30s \
    --tls-server-name "karmada-apiserver.$namespace.svc" "$@"
}
