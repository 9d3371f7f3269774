# The first master, by the site's own configuration in /root/kubeadm.yaml; prints the CA's pin.
set -eu
kubeadm init --config /root/kubeadm.yaml --upload-certs --skip-token-print \
  --skip-certificate-key-print >/root/kubeadm-init.log 2>&1 || { tail -n 20 /root/kubeadm-init.log >&2; exit 1; }
openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der |
  sha256sum | cut -d' ' -f1
