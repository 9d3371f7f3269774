# Arguments: components. Given: folder (of manifests), config (the kubelet's), pki (the kubelet's).
# Prints for each that has a file: `server NAME ADDRESS FILE`, what curl tells of the certificate
# that is served, `ended STATUS ERROR`, and `cert` with the file's certificates, or `none`.
need curl sed date
enter /etc/kubernetes "$folder" /etc/kubernetes/pki /etc/kubernetes/pki/etcd
enter /var/lib/kubelet "$pki"
date '+now %s'
[ -e "$config" ] || { echo not joined; exit 0; }
flag() { sed -n "s/^[- ]*--$1=//p" "$m"; }
key() { sed -n "s/^$1:[[:space:]]*[\"']\{0,1\}\([^\"'#[:space:]]*\).*/\1/p" "$config"; }
served() {
  name=$1 address=$2 port=$3 file=$4; shift 4
  case $address in ''|0.0.0.0|::) address=127.0.0.1 ;; *:*) address="[$address]" ;; esac
  echo "server $name $address:$port $file"
  capture curl -q -svk -o /dev/null --noproxy '*' --connect-timeout 2 --max-time 4 "$@" \
    --stderr - "https://$address:$port/livez"
  printf '%s\n' "$output" | sed -n 's/^\*[[:space:]]*\(start\|expire\) date: /\1 /p'
  echo "ended $r"
  [ -e "$file" ] || { echo none; return; }
  readable "$file"
  echo cert
  sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' "$file" || exit 3
}
for component; do
  m=$folder/$component.yaml
  case $component in
    kubelet)
      readable "$config"
      file=$(key tlsCertFile)
      if [ -z "$file" ]; then
        file=$pki/kubelet.crt
        [ "$(key serverTLSBootstrap)" != true ] || file=$pki/kubelet-server-current.pem
      fi
      port=$(key port)
      served kubelet "$(key address)" "${port:-10250}" "$file"
      continue ;;
  esac
  [ -e "$m" ] || continue
  readable "$m"
  if [ "$component" = etcd ]; then
    file=$(flag cert-file)
    p=/etc/kubernetes/pki/etcd/healthcheck-client
    [ -z "$file" ] || served etcd 127.0.0.1 2379 "$file" --cert $p.crt --key $p.key
    continue
  fi
  file=$(flag tls-cert-file)
  port=$(flag secure-port)
  case $component in
    kube-apiserver) port=${port:-6443} ;;
    kube-controller-manager) port=${port:-10257} ;;
    *) port=${port:-10259} ;;
  esac
  [ -z "$file" ] || served "$component" "$(flag bind-address)" "$port" "$file"
done
