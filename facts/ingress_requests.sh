# After ingress.sh: routes, vias, $got with the Services and EndpointSlices. Given: unknown_host.
# Everything is requested from here within some seconds; what there was no time for is not printed.
read -r uptime _ </proc/uptime; end=$((${uptime%.*} + 10))
in_time() { read -r uptime _ </proc/uptime; [ "${uptime%.*}" -lt "$end" ]; }
# Ready addresses and ports of each Service: `NAMESPACE/SERVICE ADDRESS PORT`.
endpoints=$(printf '%s\n' "$got" | while IFS= read -r line; do
  plain "$line"
  case $line in
  '    {') n='' s='' found='' ;;
  '        "namespace": '*) n=$v ;;
  '          "kubernetes.io/service-name": '*) s=$v ;;
  '        {') a='' ready=1 ;;
  '            "ready": false'*) ready='' ;;
  '            "'*'": '*) ;;
  '            "'*) v=${line#*\"}; [ -n "$a" ] || a=${v%%\"*} ;;
  '        }'|'        },') [ -z "$ready" ] || found="$found $a" ;;
  '          "port": '*) for a in $found; do echo "$n/$s $a $v"; done; a='' ;;
  esac
done)
# request URL [CURL'S OPTIONS]: `EXIT HTTP HASH` of the answer as $answer; the hash is of its status,
# where it redirects to (without the host), and of its body. Certificates are not judged here.
request() {
  out=$({
    { curl -q -sS -k -g --noproxy '*' --path-as-is --connect-timeout 1 --max-time 3 -o /dev/fd/3 \
        -w 'http %{http_code} %{redirect_url}\n' "$@" 3>&1 >&4 2>/dev/null
      echo "exit $?" >&4; } | head -c 262144 | sha256sum
  } 4>&1)
  to='' http=000 r=23 body=-
  while read -r word value rest; do
    case $word in
    http) http=$value to=$rest ;;
    exit) r=$value ;;
    *) body=$word ;;
    esac
  done <<END
$out
END
  hash=$(echo "$http ${to%%://*} /${to#*://*/} $body" | sha256sum)
  answer="$r $http ${hash%% *}"
}
bracketed() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }
# direct NAMESPACE/SERVICE HOST PATH [MOST]: asks its endpoints until one answers as `$wanted`.
direct() {
  n=0
  printf '%s\n' "$endpoints" | grep "^$1 " | while read -r _ a port; do
    n=$((n+1))
    if [ $n -gt "${4:-6}" ] || ! in_time; then break; fi
    request "http://$(bracketed "$a"):$port$3" -H "Host: $2"
    echo "direct $1 $2 $3 $a $port $answer"
    case " $wanted " in *" ${answer#* } "*) break ;; esac
  done
}
for via in $(printf '%s\n' "$vias" | sort -u | head -n 3); do
  ip=$(bracketed "$via")
  request "http://$unknown_host/" --resolve "$unknown_host:80:$ip"
  echo "via $via $unknown_host / http $answer"
  printf '%s\n' "$routes" | while read -r n h p s; do
    in_time || break
    host=$h
    case $h in -) host=$unknown_host ;; '*.'*) host=hale-check.${h#??} ;; esac
    request "http://$host$p" --resolve "$host:80:$ip"
    echo "via $via $host $p http $answer"
    case $to in https://*) echo "secure $via $host $p" ;; esac
    wanted=${answer#* }
    found=$(direct "$n/$s" "$host" "$p"); printf '%s\n' "$found"
    case $found in
    *" $wanted") ;;
    *)
      request "https://$host$p" --resolve "$host:443:$ip"
      echo "via $via $host $p https $answer"
      wanted=${answer#* }
      direct "$n/$s" "$host" "$p" ;;
    esac
    printf '%s\n' "$routes" | sed -n "s|^\([^ ]*\) $h [^ ]* \(.*\)|\1/\2|p" | sort -u |
      grep -vxF "$n/$s" | head -n 3 | while read -r other; do direct "$other" "$host" "$p" 2; done
  done
done
echo "done"
