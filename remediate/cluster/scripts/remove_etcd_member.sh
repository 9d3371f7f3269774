# Remove the etcd members whose peer URL this is, whatever their name: one that was added and never
# started has none. etcd refuses for five seconds after a member has come back ("unhealthy cluster").
# pki: the folder of etcd's certificates. port: of this node's etcd. url: the peer URL.
ask() {
  curl -q -sS -f --noproxy '*' --max-time 10 --capath /dev/null --cacert "$pki/ca.crt" \
    --cert "$pki/healthcheck-client.crt" --key "$pki/healthcheck-client.key" \
    "https://127.0.0.1:$port$1" -d "$2"
}
members=$(ask /v3/cluster/member/list '{}')
printf '%s' "$members" | sed 's/{"ID"/\n&/g' | grep -F "\"$url\"" |
  sed -n 's/^{"ID":"\([0-9]*\)".*/\1/p' |
  while read -r id; do
    echo "removing the member $id"
    n=0
    until ask /v3/cluster/member/remove "{\"ID\":\"$id\"}" >/dev/null; do
      n=$((n + 1))
      [ $n -lt 20 ] || exit 1
      sleep 1
    done
  done
