# endpoint, token, pin; key: of the uploaded certificates, for a master, else empty.
set -eu
kubeadm join "$endpoint" --token "$token" --discovery-token-ca-cert-hash "sha256:$pin" \
  ${key:+--control-plane --certificate-key "$key"} >/root/kubeadm-join.log 2>&1 || {
  tail -n 20 /root/kubeadm-join.log >&2
  exit 1
}
