# Arguments: two URLs. Given: ca; client: certificate and key, in one file; kubelet: its kubeconfig,
# which a node has, as it has config.
need curl grep head sed tail tr
if [ -e "$ca" ]; then
  readable "$ca"
  echo joined
  if [ ! -e "$kubelet" ]; then [ ! -e "$config" ] || echo "kubelet absent"
  elif [ ! -r "$kubelet" ]; then echo "kubelet hidden"
  else
    need timeout getent ip
    urls=$(sed -n "s/^[ -]*server: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" "$kubelet")
    for url in ${urls:-none}; do
      at=${url#*://}; at=${at%%/*}; at=${at%:*}; at=${at#[}; at=${at%]}
      found=$(timeout 4 getent ahosts "$at" | sed 's/[[:space:]].*//')
      echo "kubelet $url $(flat "$found")"
    done
    found=$(ip -o addr show | sed -nE 's/^[0-9]+: +[^ ]+ +inet6? +([^ /]+).*/\1/p')
    echo "own $(flat "$found")"
  fi
else
  enter /etc/kubernetes /etc/kubernetes/pki
  echo not joined
  ca=/dev/null
fi
ask() {
  capture curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 6 --cacert "$ca" \
    --capath /dev/null -w '\n@ %{http_code} %{remote_ip}\n' "$@"
}
one() {
  ask "$1"
  case $(printf '%s\n' "$output" | grep '^@ ' | tail -n 1) in
  "@ 401 "*|"@ 403 "*) [ ! -r "$client" ] || ask --cert "$client" "$1" ;;
  esac
  got=$(printf '%s\n' "$output" | sed -n 's/^@ //p' | tail -n 1)
  output=$(printf '%s\n' "$output" | sed '/^@ /d; s/^/| /' | head -c 1500)
  printf 'url %s\n%s\ngot %s %s\n' "$1" "$output" "$r" "$got"
}
# Both run at once; the second's output waits in the pipe, which keeps their order constant.
one "$2" | { one "$1" </dev/null; cat; }
