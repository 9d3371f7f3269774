# Given: connect (a program of bash), config (the kubelet's), key (its certificate and key), ca,
# masters (ADDRESS:PORT, in words), url (of the Endpoints of CoreDNS), port (of DNS).
# Prints `at ADDRESS:PORT` of the first apiserver that answers and `endpoints EXIT BODY @ HTTP ERROR`,
# then for each Pod `dns …` (facts/parsers/dns_query.py), and a connection and a path to it
# (facts/parsers/reach.py). The lines of connections from CoreDNS's own Pod begin with `pod `. Where
# something is wrong, a line `again …` has the endpoints as they are then.
enter /var/lib/kubelet
[ -e "$config" ] || { echo not joined; exit 0; }
need bash cat curl grep head ip readlink sed sleep sort timeout tr
enter /etc/kubernetes /etc/kubernetes/pki /var/lib/kubelet/pki
readable "$config"; readable "$key"; readable "$ca"
domain=$(sed -n 's/^clusterDomain: *"\{0,1\}\([A-Za-z0-9.-]*\).*/\1/p' "$config")
name=kubernetes.default.svc.${domain:-cluster.local}
# request ADDRESS:PORT: the endpoints, as $output and $r.
request() {
  capture curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \
    --cacert "$ca" --cert "$key" --key "$key" -w '\n@ %{http_code}\n' "https://$1$url"
}
for at in $masters; do
  request "$at"
  case $r$output in 0*'@ 200'*) break ;; esac
done
echo "at $at"
printf 'endpoints %s %s\n' "$r" "$(flat "$output")"
pods=$(printf '%s' "$output" | tr -d ' \n' | sed 's/"notReadyAddresses":\[[^]]*\]//g' |
  grep -oE '"ip":"[0-9a-fA-F.:]+"' | sed 's/.*:"//; s/"//' | sort -u)
set --
for ip in $pods; do set -- "$@" "$ip/$port"; done
# The network of CoreDNS's Pod on this node, if it has one of its own.
network() {
  mine=$(readlink /proc/self/ns/net)
  for p in $(api_pod_pids coredns); do
    [ "$(readlink "/proc/$p/ns/net")" = "$mine" ] || { echo "/proc/$p/ns/net"; return; }
  done
}
# Four queries before the silence counts, the last two later and with more time: this host may be busy,
# and CoreDNS may just be started again.
query() {
  got=$(ask "$1" "$name")
  case $got in *silent) got=$(sleep 2; patience=5; ask "$1" "$name") ;; esac
  echo "$got"
}
out=$({
  for ip in $pods; do query "$ip" & path "$ip" & done
  if [ $# != 0 ]; then
    n=$(network)
    [ -z "$n" ] || { need nsenter
      nsenter "--net=$n" timeout 25 bash -c "$connect" bash "$@" | sed 's/^/pod /'; } &
    timeout 25 bash -c "$connect" bash "$@" || echo "bash $?"
  fi
  wait
} | sort)
[ -z "$out" ] || printf '%s\n' "$out"
# A Pod may have ended just now.
case $newline$out in *silent* | *"${newline}failed "* | *"${newline}rejected "* | *"${newline}pod failed "* | \
  *"${newline}pod rejected "* | *" small"*)
  request "$at"
  printf 'again %s %s\n' "$r" "$(flat "$output")" ;;
esac
echo end
