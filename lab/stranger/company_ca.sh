# The company's PKI, laid down before `kubeadm init` (kubernetes.io, "Custom certificates"): an
# intermediate CA that its root has signed, front-proxy-ca, and the key of service accounts.
set -eu
pki=/etc/kubernetes/pki
umask 077
mkdir -p "$pki" /root/company
cd /root/company
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ca() { # file, subject
  key "$1.key"
  openssl req -new -key "$1.key" -subj "/O=Example Corp/CN=$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA root.crt -CAkey root.key -CAcreateserial -days 3650 \
    -extfile extensions -out "$1.crt" 2>/dev/null
}
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\nsubjectKeyIdentifier=hash\n' > extensions
key root.key
openssl req -x509 -new -key root.key -days 7300 -subj '/O=Example Corp/CN=Example Corp Root' \
  -out root.crt
ca ca 'Example Corp Kubernetes'
ca front-proxy-ca 'Example Corp Front Proxy'
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
cp ca.crt ca.key front-proxy-ca.crt front-proxy-ca.key sa.key sa.pub "$pki"
chmod 644 "$pki"/*.crt "$pki"/sa.pub
rm -f root.key ./*.csr
