# Given: pki, manifest.
need curl sed tr
enter /etc/kubernetes /etc/kubernetes/manifests "$pki"
at=
if [ -e "$manifest" ]; then
  readable "$manifest"
  at=$(sed -n 's/^[- ]*--advertise-address=//p' "$manifest")
  port=$(sed -n 's/^[- ]*--secure-port=//p' "$manifest")
  case $at in '') at=127.0.0.1 ;; *:*) at="[$at]" ;; esac
  at=$at:${port:-6443}
fi
echo "at ${at:-none}"
api() {
  [ -n "$at" ] || return 0
  for f in ca.crt apiserver-kubelet-client.crt apiserver-kubelet-client.key; do
    [ -e "$pki/$f" ] || { echo "$1 -1 $pki/$f is missing @ 000"; return; }
    readable "$pki/$f"
  done
  name=$1 path=$2; shift 2
  capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \
    --cacert "$pki/ca.crt" --cert "$pki/apiserver-kubelet-client.crt" \
    --key "$pki/apiserver-kubelet-client.key" -w '\n@ %{http_code}\n' \
    "$@" "https://$at$path"
  printf '%s %s %s\n' "$name" "$r" "$(flat "$output")"
}
