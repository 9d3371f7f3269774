# shellcheck disable=SC2086  # words of a command
# Apply the objects of standard input to Karmada's own apiserver, once, and note it in the cluster.
# @CA@ in them is its authority. Its kubeconfig is a file in memory as long as this runs.
# kubectl: the command, with its options. namespace: Karmada's. notes, key, applying, digest: as in
# apply_manifest.sh. converted: the kinds that its webhook converts. memory: a folder that is no disk.
umask 077
folder=$(mktemp -d "$memory/hale-karmada.XXXXXX")
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$folder/given"
# try SECONDS COMMAND…
try() {
  end=$(($(date +%s) + $1)); shift
  until "$@"; do [ "$(date +%s)" -lt $end ] || exit 1; sleep 1; done
}
$kubectl -n "$namespace" get secret karmada-admin-config -o 'jsonpath={.data.karmada\.config}' |
  base64 -d >"$folder/config"
address=$($kubectl -n "$namespace" get service karmada-apiserver -o 'jsonpath={.spec.clusterIP}')
case $address in *:*) address="[$address]" ;; esac
karmada="kubectl --kubeconfig $folder/config --server https://$address:5443"
karmada="$karmada --tls-server-name karmada-apiserver.$namespace.svc --request-timeout 60s"
authority=$(sed -n 's/^ *certificate-authority-data: //p' "$folder/config")
note() {
  $kubectl -n kube-system annotate --overwrite configmap "$notes" "$key=$1" >/dev/null
}
try 120 $karmada get --raw /readyz >/dev/null
try 10 note "$applying"
sed "s|@CA@|$authority|" "$folder/given" >"$folder/objects"
try 60 $karmada apply --server-side --force-conflicts -f "$folder/objects"
for kind in $converted; do
  $karmada patch customresourcedefinition "$kind" --type merge -p '{"spec":{"conversion":{
    "strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{
    "url":"https://karmada-webhook.'"$namespace"'.svc:443/convert","caBundle":"'"$authority"'"}}}}}'
done
try 120 $karmada wait --for condition=Available --timeout 30s \
  apiservice/v1alpha1.cluster.karmada.io
try 10 note "$digest"
