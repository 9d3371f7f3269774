# After api_objects.sh. Given: most, most_nodes, the numbers of routes and nodes that are requested.
[ -n "$at" ] || exit 0
client
as_table='Accept: application/json;as=Table;v=v1;g=meta.k8s.io'
table='includeObject=None&pretty=true'
networking=/apis/networking.k8s.io/v1 gateway=/apis/gateway.networking.k8s.io
get workloads '/apis/apps/v1/deployments?pretty=true' '/apis/apps/v1/daemonsets?pretty=true'
show workloads; controllers=$got
get objects "$networking/ingressclasses?pretty=true" "$networking/ingresses?pretty=true" \
  "$gateway?pretty=true"
show ingresses; ingresses=$got routes='' listeners=''
case $controllers$ingresses in
*item*|*'"kind": "APIGroup"'*|*'"name": '*) ;;
*) exit 0 ;;
esac
case $ingresses in *'"kind": "APIGroup"'*)
  get objects "$gateway/v1/gatewayclasses?pretty=true" "$gateway/v1/gateways?pretty=true" \
    "$gateway/v1/httproutes?pretty=true"
  show gateways; routes=$got listeners=$got
esac

# pairs COLUMN COLUMN: of the table in the input, these two of each row.
pairs() {
  c=0 first=0 second=0
  while IFS= read -r line; do
    plain "$line"
    case $line in
    '      "name": '*)
      c=$((c+1))
      case $v in "$1") first=$c ;; "$2") second=$c ;; esac ;;
    '      "cells": ['*) c=0 a='' ;;
    '        "'*)
      c=$((c+1)) v=${line#*\"}; v=${v%%\"*}
      [ $c != $first ] || a=$v
      [ $c != $second ] || echo "$a $v" ;;
    esac
  done
}
# The pods of each controller, and the Services of its namespace. Where its pods have ports of their
# node: these as `PORT Running NODE`.
namespaces='' placed='' own=
while IFS= read -r line; do
  v=${line#* \"}; v=${v%\"}
  case $line in
  item|'@ '*)
    if [ -n "${selector-}" ]; then
      accept=$as_table
      get objects "/api/v1/namespaces/$namespace/pods?labelSelector=$selector&$table"
      accept=; show "pods:$namespace/$name"
      for port in $own; do
        placed="$placed$newline$(printf '%s\n' "$got" | pairs Status Node | sed "s/^/$port /")"
      done
      case " $namespaces " in *" $namespace "*) ;; *) namespaces="$namespaces $namespace" ;; esac
    fi
    selector= name='' own= ;;
  'hostPort 80'|'hostPort 443') own="$own ${line#* }" ;;
  'hostNetwork true') own='80 443' ;;
  'name '*) [ -n "$name" ] || name=$v ;;
  'namespace '*) namespace=$v ;;
  'match '*)
    v=$(printf '%s' "$line" | sed 's/^match {"//; s/"}$//; s/": "/%3D/; s/[^A-Za-z0-9._/%-]//g')
    selector=${selector:+$selector,}$v ;;
  esac
done <<END
$controllers
END
vias=
if [ -n "$namespaces" ]; then
  set --
  for n in $namespaces; do set -- "$@" "/api/v1/namespaces/$n/services?pretty=true"; done
  get objects "$@"; show services
  vias=$(printf '%s\n' "$got" | while IFS= read -r line; do
    plain "$line"
    case $line in
    '    {') web='' ;;
    '            "port": 80,'|'            "port": 80') web=1 ;;
    '        "clusterIP": '*) [ -z "$web" ] || [ "$v" = None ] || echo "$v" ;;
    esac
  done)
fi

# The nodes whose ports the controllers have, a line each: `NAME=ADDRESS PORT`.
nodes=
placed=$(printf '%s\n' "$placed" | sed -n 's/^\([0-9]*\) Running /\1 /p' | sort -u)
if [ -n "$placed" ] && [ "$most_nodes" != 0 ]; then
  accept=$as_table
  get objects "/api/v1/nodes?$table"
  accept=
  nodes=$(printf '%s\n' "$got" | pairs Name Internal-IP | sort | while read -r name address; do
    printf '%s\n' "$placed" | while read -r port n; do
      [ "$n" != "$name" ] || echo "$name=$address $port"
    done
  done | grep -E '^[a-z0-9.-]+=[0-9a-fA-F.:]+ [0-9]+$')
  chosen=" $(printf '%s\n' "$nodes" | cut -d' ' -f1 | uniq | head -n "$most_nodes" | tr '\n' ' ')"
  nodes=$(printf '%s\n' "$nodes" | while read -r node port; do
    case $chosen in *" $node "*) echo "$node $port" ;; esac
  done)
  printf '%s\n' "$nodes" | sed -n 's/^\(.*\)=\(.*\) /node \1 \2 /p'
  # Without a Service they are all that can be requested.
  [ -n "$vias" ] || vias=$(printf '%s\n' "$nodes" | cut -d' ' -f1)
fi

# Each route as `NAMESPACE HOST PATH SERVICE`, by its lines' indentation. `-`: any host.
of_ingresses() {
  while IFS= read -r line; do
    plain "$line"
    case $line in
    '        "namespace": '*) n=$v ;;
    '            "name": '*) echo "$n - / $v" ;;
    '          {') h=- ;;
    '            "host": '*) h=$v ;;
    '                {') p=/ ;;
    '                  "path": '*) p=$v ;;
    '                      "name": '*) echo "$n $h $p $v" ;;
    esac
  done
}
of_http_routes() {
  while IFS= read -r line; do
    plain "$line"
    case $line in
    '        "namespace": '*) n=$v hosts='' ;;
    '          "'*'"'|'          "'*'",') v=${line#*\"}; hosts="$hosts ${v%%\"*}" ;;
    '          {') services='' paths='' ;;
    '                "name": '*) services="$services $v" ;;
    '                  "value": '*) paths="$paths $v" ;;
    '          }'|'          },')
      for s in $services; do
        for h in ${hosts:--}; do for p in ${paths:-/}; do echo "$n $h $p $s"; done; done
      done
      services='' ;;
    esac
  done
}
set -f
routes=$({ printf '%s\n' "$ingresses" | of_ingresses; printf '%s\n' "$routes" | of_http_routes; } |
  grep -E '^[a-z0-9-]+ [][a-z0-9.*-]+ /[A-Za-z0-9/._~-]* [a-z0-9-]+$' | sort -u | head -n "$most")
[ -n "$routes" ] || exit 0
set --
for s in $(printf '%s\n' "$routes" | sed 's/^\([^ ]*\) .* /\1:/' | sort -u); do
  n=/namespaces/${s%:*} label=kubernetes.io/service-name%3D${s#*:}
  set -- "$@" "/api/v1$n/services/${s#*:}?pretty=true" \
    "/apis/discovery.k8s.io/v1$n/endpointslices?labelSelector=$label&pretty=true"
  echo "backend ${s%:*} ${s#*:}"
done
get objects "$@"; show backends
