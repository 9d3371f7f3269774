# After api_objects.sh. Keys and kubeconfigs stay in this shell and in pipes: no argument, no file.
[ -n "$at" ] || exit 0
client
need base64 date tail
date '+now %s'
group=cluster.karmada.io/v1alpha1
registered='/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.cluster.karmada.io?pretty=true'
get workloads '/apis/apps/v1/deployments?pretty=true' '/apis/apps/v1/statefulsets?pretty=true'
show workloads; found=$got
get objects "$registered"
show registration; own=
case $got in *'"kind": "APIService"'*) own=1 ;; esac
case $own$found in 1*|*karmada-*) ;; *) exit 0 ;; esac

# The pods of each workload, and the namespace of the control plane.
hub='' namespace='' selector=''
set --
while IFS= read -r line; do
  v=${line#* \"}; v=${v%\"}
  case $line in
  item|'@ '*)
    [ -z "$selector" ] || set -- "$@" \
      "/api/v1/namespaces/$namespace/pods?labelSelector=$selector&includeObject=None&pretty=true"
    selector='' ;;
  'namespace '*) namespace=$v ;;
  'match '*)
    v=$(printf '%s' "$line" | sed 's/^match {"//; s/"}$//; s/": "/%3D/; s/[^A-Za-z0-9._/%-]//g')
    selector=${selector:+$selector,}$v ;;
  'image '*karmada-controller-manager[:@\"]*) hub=$namespace ;;
  'image '*karmada-agent[:@\"]*|'image '*karmada-operator[:@\"]*) ;;
  'image '*karmada-*) hub=${hub:-$namespace} ;;
  esac
done <<END
$found
END
if [ $# -gt 0 ]; then
  accept='Accept: application/json;as=Table;v=v1;g=meta.k8s.io'
  get objects "$@"; accept=
  show pods
fi

# Names of Secrets (a list of metadata has no data), then those with certificates and one kubeconfig.
config='' chosen=''
if [ -n "$hub" ]; then
  secrets=/api/v1/namespaces/$hub/secrets
  accept='Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'
  get objects "$secrets?pretty=true"; accept=
  names=$(printf '%s\n' "$got" | sed -nE 's/^ {8}"name": "([a-z0-9.-]+)",?$/\1/p')
  got=$(printf '%s\n' "$got" | tail -n 1)
  show secrets
  set --
  for name in $names; do
    case $name in *-cert|*-certs) set -- "$@" "$secrets/$name?pretty=true" ;; esac
  done
  if [ -z "$own" ]; then
    for ends in scheduler-config controller-manager-config kubeconfig admin-config; do
      for name in $names; do
        case $name in *"$ends") chosen=${chosen:-$name} ;; esac
      done
    done
    [ -z "$chosen" ] || set -- "$@" "$secrets/$chosen?pretty=true"
  fi
  if [ $# -gt 0 ]; then
    get none "$@"
    # Public certificates, each once, as `SECRET KEY` and its text.
    got=$(printf '%s\n' "$output" | sed -nE '
      /^@ [0-9]{3}$/p
      /^  "metadata": [{]$/,/^  [}]/s/^    "name": "([a-z0-9.-]+)",?$/secret \1/p
      /^  "data": [{]$/,/^  [}]/s/^    "([A-Za-z0-9._-]+\.crt)": "([A-Za-z0-9+\/=]+)",?$/crt \1 \2/p
    ' | {
      printed=' '
      while read -r tag key text; do
        case $tag in
        @) echo "@ $key" ;;
        secret) name=$key ;;
        crt)
          case $printed in *" $text "*) continue ;; esac
          printed="$printed$text "
          echo "certificate $name $key"
          printf '%s\n' "$text" | base64 -d 2>/dev/null |
            sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p'
          echo ;;
        esac
      done
    })
    config=$(printf '%s\n' "$output" | sed -nE '
      /^  "data": [{]$/,/^  [}]/s/^    "(karmada\.config|kubeconfig)": "([A-Za-z0-9+\/=]+)",?$/\2/p
    ' | base64 -d 2>/dev/null)
    output=
    show certificates
  fi
fi

# Karmada's own apiserver, as the kubeconfig names it: `karmada STATE`, and its objects.
field() { printf '%s\n' "$config" | sed -nE "s/^[- ]*$1: *\"?([^\" ]+)\"?\$/\1/p" | sed -n 1p; }
data() { field "$1" | base64 -d 2>/dev/null; }
state() { echo "karmada $*"; exit 0; }
set -- "/apis/$group/clusters?pretty=true" "$registered" \
  "/apis/coordination.k8s.io/v1/namespaces/karmada-cluster/leases?pretty=true" \
  "/apis/coordination.k8s.io/v1/namespaces/karmada-system/leases?pretty=true"
if [ -n "$own" ]; then
  get none "$@"
else
  [ -n "$hub" ] || state member
  [ -n "$chosen" ] || state no-kubeconfig
  server=$(field server)
  authority=$(data certificate-authority-data) certificate=$(data client-certificate-data)
  key=$(data client-key-data)
  case $server,$authority,$certificate,$key in
  https://*,*BEGIN*,*BEGIN*,*BEGIN*) ;;
  *) state unknown-kubeconfig "$chosen" ;;
  esac
  # The name of a Service is known inside the cluster alone: its address is in the Service.
  host=${server#https://}; host=${host%%/*}; port=${host##*:}
  case $host in *:*) host=${host%:*} ;; *) port=443 ;; esac
  resolve=
  case $host in *.svc|*.svc.*)
    service=${host%%.*} namespace=${host#*.}; namespace=${namespace%%.*}
    get objects "/api/v1/namespaces/$namespace/services/$service?pretty=true"
    address=$(printf '%s\n' "$got" | sed -nE 's/^ *"clusterIP": "([0-9a-f.:]+)",?$/\1/p')
    [ -n "$address" ] || state no-address "$namespace/$service"
    case $address in *:*) address="[$address]" ;; esac
    resolve=$host:$port:$address
  esac
  n=$#
  while [ $n -gt 0 ]; do set -- "$@" "https://$host:$port$1"; shift; n=$((n-1)); done
  [ -z "$resolve" ] || set -- --resolve "$resolve" "$@"
  # A pipe each: a here-document may be a file of the shell.
  as_karmada() {
    printf '%s\n' "$authority" | {
      exec 3<&0
      printf '%s\n' "$certificate" | {
        exec 4<&0
        printf '%s\n' "$key" | curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 8 \
          --capath /dev/null --cacert /dev/fd/3 --cert /dev/fd/4 --key /dev/stdin \
          -w '\n@ %{http_code}\n' "$@"
      }
    }
  }
  capture as_karmada "$@"
  why=$(printf '%s\n' "$output" | sed -n '/^curl: /{p;q;}')
fi
# The apiserver closes the connection after a 401, and a pipe cannot be read again for the next.
case $output in *"$newline@ 401"*) state refused "$chosen" ;; esac
[ "$r" = 0 ] || state no-answer "$r" "$why"
echo karmada answered
got=$(printf '%s\n' "$output" | sed -E '
  /^ {8}"(apiEnablements|remedyActions)": \[$/,/^ {8}\],?$/d
  /^ {8}"(resourceSummary|resourceModels)": [[{]$/,/^ {8}[]}],?$/d
' | sed -E "$objects")
show federation
