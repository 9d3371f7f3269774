# After local_apiserver.sh. Given: known, a regular expression of workloads (tagged lines). For
# bindings, the script sets subject, another.
need grep head sha256sum sort
# What leaves the host: structure, and values of these keys. Not annotations, managedFields, headers.
objects='
/^ *"managedFields": \[$/,/^ *\],?$/d
/^ *"(annotations|labels)": \{$/,/^ *\},?$/{
  /[{}],?$/bk
  /^ *"(kubernetes.io\/ingress.class|ingressclass.kubernetes.io\/is-default-class)": /bk
  /^ *"kubernetes.io\/service-name": /bk
  /^ *"[a-z0-9.-]+\/(force-)?ssl-redirect": "(true|false)",?$/bk
  d
}
/^ {8}"selector": \{$/,/^ {8}\},?$/bk
/[]{}[],?$/bk
/^@ [0-9]{3}$/bk
/^ *"(name|namespace|kind|group|type|status|reason|controller|controllerName)": /bk
/^ *"(ingressClassName|gatewayClassName|host|hostname|path|pathType|ip|sectionName|secretName|protocol|mode)": /bk
/^ *"(number|port|nodePort|clusterIP|ready|weight)": /bk
/^ *"(syncMode|kubernetesVersion|renewTime|leaseDurationSeconds)": /bk
/^( {12}| {18})"value": /bk
/^ *"([^"\\]|\\.)*",?$/bk
d
:k'
# Of a Deployment or DaemonSet: one tagged line a value.
workloads='
/^@ [0-9]{3}$/p
/^    \{$/s/.*/item/p
s/^ {8}"(name|namespace|replicas|readyReplicas|numberReady|desiredNumberScheduled)": ([^,]*),?$/\1 \2/p
/^ {10}"matchLabels": \{$/,/^ {10}\}/s/^ {12}("[^"]*": "[^"]*"),?$/match {\1}/p
s/^ {12}"(serviceAccountName|hostNetwork)": ([^,]*),?$/\1 \2/p
/^ {12}"labels": \{$/,/^ {12}\}/s/^ {14}("[^"]*": "[^"]*"),?$/label {\1}/p
s/^ {16}"(image)": ("[^"]*"),?$/\1 \2/p
s/^ {20}"(hostPort|containerPort|protocol|hostIP)": ([^,]*),?$/\1 \2/p'
# Of a RoleBinding or ClusterRoleBinding: the same. Its own name comes before its role's.
bindings='
/^ *"managedFields": \[$/,/^ *\],?$/d
/^ *"(annotations|labels)": \{$/,/^ *\},?$/d
/^@ [0-9]{3}$/p
/^    \{$/s/.*/item/p
s/^ {8}"(name|namespace|kind)": ([^,]*),?$/\1 \2/p
s/^ {10}"(name|namespace|kind)": ([^,]*),?$/subject-\1 \2/p'

# get FILTER PATH...: all paths over one connection. $got is what the filter selects, a line `@ HTTP`
# behind each; $r is curl's exit status, and $why its error. With $accept, as that.
accept=
get() {
  filter=$1; shift
  n=$#
  while [ $n -gt 0 ]; do set -- "$@" "https://$at$1"; shift; n=$((n-1)); done
  capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \
    --cacert "$pki/ca.crt" --cert "$pki/apiserver-kubelet-client.crt" \
    --key "$pki/apiserver-kubelet-client.key" -w '\n@ %{http_code}\n' \
    ${accept:+-H "$accept"} "$@"
  why=$(printf '%s\n' "$output" | sed -n '/^curl: /{p;q;}')
  case $filter in
  objects) got=$(printf '%s\n' "$output" | sed -E "$objects") ;;
  workloads) got=$(printf '%s\n' "$output" | sed -nE "$workloads" | items "$known") ;;
  bindings) got=$(printf '%s\n' "$output" | sed -nE "$bindings" | items "$subject") ;;
  esac
}
# items REGEX: of tagged lines, the items that match, and the lines of status.
items() { sed -nE "/^(item|@ .*)\$/{x;/$1/p;x;/^@/p;h;b
}
H"; }
# show NAME: $got as a section. Where the apiserver did not answer, it is the last one.
show() {
  printf 'section %s %s %s\n' "$1" "$r" "$why"
  printf '%s\n' "$got" | sed 's/^ *//'
  echo end
  [ "$r" = 0 ] || exit 0
}
# client: whether the client certificate can be read; ends the script where this user may not.
client() {
  for f in ca.crt apiserver-kubelet-client.crt apiserver-kubelet-client.key; do
    [ -e "$pki/$f" ] || { echo "$pki/$f is missing" >&2; exit 1; }
    readable "$pki/$f"
  done
}
# plain LINE: its value as $v.
plain() { v=${1#*: }; v=${v%,}; v=${v#\"}; v=${v%\"}; }
