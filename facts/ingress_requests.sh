# After ingress.sh: routes, vias, nodes, $got with the Services and EndpointSlices. Given: unknown_host.
# An address may have a name in front (NAME=ADDRESS), and is printed by that.
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
  tried=0
  printf '%s\n' "$endpoints" | grep "^$1 " | while read -r _ a port; do
    tried=$((tried+1))
    if [ $tried -gt "${4:-6}" ] || ! in_time; then break; fi
    request "http://$(bracketed "$a"):$port$3" -H "Host: $2"
    echo "direct $1 $2 $3 $a $port $answer"
    case " $wanted " in *" ${answer#* } "*) break ;; esac
  done
}
# requested_host HOST: what a route with this one is requested by.
requested_host() {
  case $1 in -) echo "$unknown_host" ;; '*.'*) echo "hale-check.${1#??}" ;; *) echo "$1" ;; esac
}
vias=$(printf '%s\n' "$vias" | sort -u | head -n 3)
for via in $vias; do
  ip=$(bracketed "${via#*=}") via=${via%%=*}
  request "http://$unknown_host/" --resolve "$unknown_host:80:$ip"
  echo "via $via $unknown_host / http $answer"
  printf '%s\n' "$routes" | while read -r n h p s; do
    in_time || break
    host=$(requested_host "$h")
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

# The nodes' own ports. A port without an answer is requested twice, and no more after that.
# at_port NODE PORT HOST PATH: requests it there, and prints what comes.
at_port() {
  for seconds in 1 2; do
    request "$(scheme "$2")://$3$4" --resolve "$3:$2:$(bracketed "${1#*=}")" \
      --connect-timeout "$seconds"
    case $answer in 7\ *|28\ *) ;; *) break ;; esac
  done
  echo "via ${1%%=*} $3 $4 $(scheme "$2") $answer"
  case $2$to in 80https://*) echo "secure ${1%%=*} $3 $4" ;; esac
}
scheme() { case $1 in 80) echo http ;; *) echo https ;; esac; }
# at_ports HOST PATH: at each `NODE PORT` of the input, sixteen at a time: one that is closed takes long.
at_ports() {
  at_once=0
  while read -r node port; do
    at_port "$node" "$port" "$1" "$2" </dev/null &
    at_once=$((at_once+1))
    [ $((at_once % 16)) != 0 ] || wait
  done
  wait
}
open=
if [ -n "$nodes" ]; then
  for via in $vias; do at_port "$via" 443 "$unknown_host" /; done
  found=$(printf '%s\n' "$nodes" | at_ports "$unknown_host" /)
  printf '%s\n' "$found"
  open=$(printf '%s\n' "$nodes" | while read -r node port; do
    asked="${newline}via ${node%%=*} $unknown_host / $(scheme "$port")"
    case $newline$found in *"$asked 7 000 "*|*"$asked 28 000 "*) ;; *) echo "$node $port" ;; esac
  done)
fi
if [ -n "$open" ]; then
  read -r uptime _ </proc/uptime; end=$((${uptime%.*} + 6)) lines=0
  printf '%s\n' "$routes" | while read -r n h p s; do
    # The whole answer may be 64 KiB.
    if [ $lines -gt 120 ] || ! in_time; then break; fi
    host=$(requested_host "$h")
    found=$(printf '%s\n' "$open" | at_ports "$host" "$p"); printf '%s\n' "$found"
    # In a time of their own: without them, answers that differ by pod prove nothing.
    printf '%s\n' "$found" | sed -n 's/^via .* \([0-9]* [0-9a-f]*\)$/\1/p' | sort -u | {
      read -r uptime _ </proc/uptime; end=$((${uptime%.*} + 4))
      while read -r wanted; do direct "$n/$s" "$host" "$p" 12; done
    }
    lines=$((lines + $(printf '%s\n' "$found" | grep -c .)))
  done
fi
echo "done"
