# Arguments: the files. Given: joined (a file that a node has), manifest (of the apiserver), client
# (the apiserver's certificate for etcd, which its manifest may place elsewhere), kubelet (the
# kubelet's certificate) and conf (its kubeconfig, which may name or contain another one).
need sed date
enter /etc/kubernetes /etc/kubernetes/pki /etc/kubernetes/pki/etcd
enter /var/lib/kubelet /var/lib/kubelet/pki
date '+now %s'
[ -e "$joined" ] || { echo not joined; exit 0; }
etcd=$(sed -n 's/^[- ]*--etcd-certfile=//p' "$manifest" 2>/dev/null) || :
case " $* " in *" $client "*) ;; *) etcd= ;; esac
if [ "${etcd:-$client}" = "$client" ]; then etcd=; else echo "etcd $etcd"; fi
own=
case " $* " in *" $kubelet "*) [ ! -e "$conf" ] || {
  readable "$conf"
  own=$(sed -n "s/^ *client-certificate: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" "$conf")
  own=${own:-$conf}
} ;; esac
case " $* " in *" $own "*) own= ;; esac
[ -z "$own" ] || echo "kubelet $own"
for f in "$@" $etcd $own; do
  [ -e "$f" ] || { echo "none $f"; continue; }
  readable "$f"
  echo "cert $f"
  case $f in
  *.conf) sed -n 's/^ *client-certificate-data: *//p; s/^ *client-certificate: */at /p' "$f" ;;
  *) sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' "$f" ;;
  esac || exit 3
done
