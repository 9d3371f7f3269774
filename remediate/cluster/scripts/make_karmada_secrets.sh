# shellcheck disable=SC2086  # words of a command
# Make Karmada's certificates, its kubeconfigs and its key for tokens, once, as Secrets. Keys are files
# of a folder in memory, and go to kubectl by standard input.
# Arguments: names and addresses of Karmada's apiserver, as subjectAltName has them.
# kubectl: the command, with its options. namespace: for all of it. last: the Secret with the
# authorities' keys, made after all others. days: for which all of it is valid. members: of etcd. memory: a folder that is no disk.
! $kubectl -n "$namespace" get secret "$last" >/dev/null 2>&1 || exit 0
umask 077
folder=$(mktemp -d "$memory/hale-karmada.XXXXXX")
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit 1
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
authority() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -sha256 -days "$days" -subj "/CN=karmada-$1" -out "$1.crt" \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    2>/dev/null
}
# issue AUTHORITY NAME SUBJECT USAGE [ALTERNATIVE…]
issue() {
  by=$1 name=$2 subject=$3 usage=$4; shift 4
  { echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature'
    echo "extendedKeyUsage=$usage"
    if [ $# -gt 0 ]; then printf 'subjectAltName='; (IFS=,; printf '%s\n' "$*"); fi
  } >"$name.ext"
  key "$name"
  openssl req -new -key "$name.key" -subj "$subject" -out "$name.csr"
  openssl x509 -req -sha256 -in "$name.csr" -CA "$by.crt" -CAkey "$by.key" -CAcreateserial \
    -days "$days" -extfile "$name.ext" -out "$name.crt" 2>/dev/null
}
# begin NAME, then data KEY FILE …: a Secret as YAML.
begin() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ndata:\n' \
    "$1" "$namespace"
}
data() { printf '  %s: %s\n' "$1" "$(base64 -w 0 "$2")"; }
pair() { begin "$1"; data ca.crt "$2.crt"; data tls.crt "$3.crt"; data tls.key "$3.key"; }
service() { echo "DNS:$1,DNS:$1.$namespace.svc,DNS:$1.$namespace.svc.cluster.local"; }
# client NAME SUBJECT: the kubeconfig of a client of Karmada's apiserver.
client() {
  issue ca "$1" "$2" clientAuth
  cat >"$1.config" <<END
apiVersion: v1
kind: Config
clusters:
- name: karmada-apiserver
  cluster:
    server: https://karmada-apiserver.$namespace.svc:5443
    certificate-authority-data: $(base64 -w 0 ca.crt)
users:
- name: karmada-apiserver
  user:
    client-certificate-data: $(base64 -w 0 "$1.crt")
    client-key-data: $(base64 -w 0 "$1.key")
contexts:
- name: karmada-apiserver
  context: {cluster: karmada-apiserver, user: karmada-apiserver}
current-context: karmada-apiserver
END
  begin "$1-config"
  data karmada.config "$1.config"
}
authority ca
authority etcd-ca
authority front-proxy-ca
peers=DNS:localhost,IP:127.0.0.1,$(service karmada-etcd-client)
n=0
while [ $n -lt "$members" ]; do
  peers=$peers,DNS:karmada-etcd-$n.karmada-etcd.$namespace.svc
  n=$((n + 1))
done
issue etcd-ca etcd /CN=karmada-etcd serverAuth,clientAuth "$peers"
issue etcd-ca etcd-client /CN=karmada-etcd-client clientAuth
issue front-proxy-ca front-proxy-client /CN=front-proxy-client clientAuth
issue ca apiserver /CN=karmada-apiserver serverAuth "$(service karmada-apiserver)" \
  DNS:localhost IP:127.0.0.1 "$@"
for name in aggregated-apiserver webhook; do
  issue ca "$name" "/CN=karmada-$name" serverAuth "$(service "karmada-$name")"
done
key sa
openssl pkey -in sa.key -pubout -out sa.pub
{
  printf -- '---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n' "$namespace"
  pair karmada-etcd-cert etcd-ca etcd
  pair karmada-etcd-client-cert etcd-ca etcd-client
  pair karmada-front-proxy-cert front-proxy-ca front-proxy-client
  pair karmada-apiserver-cert ca apiserver
  pair karmada-aggregated-apiserver-cert ca aggregated-apiserver
  pair karmada-webhook-cert ca webhook
  begin karmada-root-ca; data ca.crt ca.crt
  begin karmada-service-account; data sa.key sa.key; data sa.pub sa.pub
  for name in aggregated-apiserver controller-manager scheduler webhook admin; do
    client "karmada-$name" "/O=system:masters/CN=system:karmada:karmada-$name"
  done
  client karmada-kube-controller-manager /CN=system:kube-controller-manager
} >secrets.yaml
{
  begin "$last"
  for name in ca etcd-ca front-proxy-ca; do data "$name.crt" "$name.crt"; data "$name.key" "$name.key"; done
} >last.yaml
for file in secrets.yaml last.yaml; do
  $kubectl apply --server-side --force-conflicts -f /dev/stdin <$file
done
