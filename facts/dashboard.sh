# After api_objects.sh. Given: dashboards, lines `API-PATH LEAK`: what is requested without a login,
# and a regular expression of an answer that gives the cluster away.
[ -n "$at" ] || exit 0
client
get workloads '/apis/apps/v1/deployments?pretty=true'; show workloads
case $got in *item*) ;; *) exit 0 ;; esac
rbac=/apis/rbac.authorization.k8s.io/v1 namespaces='' accounts='' labels='|' namespace='' name=''
while IFS= read -r line; do
  v=${line#* \"}; v=${v%\"}
  case $line in
  item|'@ '*)
    [ -z "$namespace" ] || accounts="$accounts|$account"
    namespace='' account=default ;;
  'namespace '*)
    namespace=$v
    case " $namespaces " in *" $v "*) ;; *) namespaces="$namespaces $v" ;; esac ;;
  'serviceAccountName '*) account=$v ;;
  'label {'*|'match {'*) v=${line#*{}; labels="$labels${v%\}}|" ;;
  esac
done <<END
$got
END
# Bindings of its accounts, and of every account's groups.
subject="subject-name \"(${accounts#|}|system:serviceaccounts?:?[a-z0-9:.-]*|system:authenticated)\""
get bindings "$rbac/clusterrolebindings?pretty=true" "$rbac/rolebindings?pretty=true"
show bindings
set --; item=
while IFS= read -r line; do
  v=${line#* \"}; v=${v%\"}
  case $line in
  item|'@ '*)
    [ -z "$item" ] || case $kind in
    ClusterRole) set -- "$@" "$rbac/clusterroles/$name?pretty=true" ;;
    Role) set -- "$@" "$rbac/namespaces/$namespace/roles/$name?pretty=true" ;;
    esac
    item=1 kind='' name='' namespace='' ;;
  'name '*) name=$v ;;
  'namespace '*) namespace=$v ;;
  'kind '*) kind=$v ;;
  esac
done <<END
$got
END
if [ $# -gt 0 ]; then get objects "$@"; show roles; fi
set --
for n in $namespaces; do set -- "$@" "/api/v1/namespaces/$n/services?pretty=true"; done
get objects "$@"; show services
# Services whose selector is among the labels, as `NAME ADDRESS PORT`.
found=$(printf '%s\n' "$got" | while IFS= read -r line; do
  plain "$line"
  case $line in
  '    {') inside='' chosen='' ports='' n='' ;;
  '        "name": '*) [ -n "$n" ] || n=$v ;;
  '            "port": '*) ports="$ports $v" ;;
  '        "selector": {') inside=1 chosen=1 ;;
  '        }'*) inside='' ;;
  '          "'*)
    line=${line#"${line%%[! ]*}"}
    [ -z "$inside" ] || case $labels in *"|${line%,}|"*) ;; *) chosen='' ;; esac ;;
  '        "clusterIP": '*)
    if [ -n "$chosen" ] && [ "$v" != None ]; then
      for port in $ports; do echo "$n $v $port"; done
    fi ;;
  esac
done | head -n 8)
# ask URL LEAK: `EXIT HTTP SHAPE` of the answer; the shape is page, leak or other.
ask() {
  out=$({ curl -q -sS -k -g --noproxy '*' --connect-timeout 1 --max-time 3 \
    -w '\n@ %{http_code}\n' "$1" 2>/dev/null; echo "exit $?"; } |
    head -c 2000000 | tr -d '\000' | grep -aioE "^@ [0-9]{3}\$|^exit [0-9]+\$|<html|$2" | sort -u)
  r=23 http=000 shape=other
  while read -r word value; do
    case $word in
    @) http=$value ;;
    exit) r=$value ;;
    '<'[hH]*) [ "$shape" = leak ] || shape=page ;;
    ?*) shape=leak ;;
    esac
  done <<END
$out
END
  answer="$r $http $shape"
}
printf '%s\n' "$found" | while read -r name ip number; do
  [ -n "$number" ] || continue
  case $ip in *:*) ip="[$ip]" ;; esac
  # A port with TLS answers HTTP without it too, by an error.
  for scheme in https http; do
    ask "$scheme://$ip:$number/" '<html'
    echo "page $name $number $scheme $answer"
    [ "$http" != 000 ] || continue
    printf '%s\n' "$dashboards" | while read -r path leak; do
      ask "$scheme://$ip:$number$path" "$leak"
      echo "api $name $number $scheme $answer $path"
    done
    break
  done
done
echo "done"
