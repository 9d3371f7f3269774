# Given: connect (a program of bash), config (the kubelet's), key (its certificate and key), ca,
# masters (ADDRESS:PORT, in words), url (of the Endpoints of CoreDNS), port (of DNS).
# Prints `at ADDRESS:PORT` of the first apiserver that answers and `endpoints EXIT BODY @ HTTP ERROR`,
# then for each Pod `dns …` (facts/parsers/dns_query.py), and a connection and a path to it
# (facts/parsers/reach.py). The lines of connections from CoreDNS's own Pod begin with `pod `.
need bash cat curl grep ip readlink sed sort timeout tr
enter /etc/kubernetes /etc/kubernetes/pki /var/lib/kubelet /var/lib/kubelet/pki
[ -e "$config" ] || { echo not joined; exit 0; }
readable "$config"; readable "$key"; readable "$ca"
domain=$(sed -n 's/^clusterDomain: *"\{0,1\}\([A-Za-z0-9.-]*\).*/\1/p' "$config")
name=kubernetes.default.svc.${domain:-cluster.local}
for at in $masters; do
  capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \
    --cacert "$ca" --cert "$key" --key "$key" -w '\n@ %{http_code}\n' "https://$at$url"
  case $r$output in 0*'@ 200'*) break ;; esac
done
echo "at $at"
printf 'endpoints %s %s\n' "$r" "$(flat "$output")"
pods=$(printf '%s' "$output" | tr -d ' \n' | sed 's/"notReadyAddresses":\[[^]]*\]//g' |
  grep -oE '"ip":"[0-9a-fA-F.:]+"' | sed 's/.*:"//; s/"//' | sort -u)
set --
for ip in $pods; do set -- "$@" "$ip/$port"; done
# The process of CoreDNS, in a network of its own.
resolver() {
  mine=$(readlink /proc/self/ns/net)
  for p in /proc/[0-9]*; do
    { read -r comm <"$p/comm"; } 2>/dev/null && [ "$comm" = coredns ] || continue
    [ "$(readlink "$p/ns/net")" = "$mine" ] || { echo "$p"; return; }
  done
}
query() { got=$(ask "$1" "$name"); case $got in *silent) got=$(ask "$1" "$name") ;; esac; echo "$got"; }
out=$({
  for ip in $pods; do query "$ip" & path "$ip" & done
  if [ $# != 0 ]; then
    p=$(resolver)
    [ -z "$p" ] || { need nsenter
      nsenter "--net=$p/ns/net" timeout 25 bash -c "$connect" bash "$@" | sed 's/^/pod /'; } &
    timeout 25 bash -c "$connect" bash "$@" || echo "bash $?"
  fi
  wait
} | sort)
printf '%s\n' "$out"
echo end
