# Arguments: NAME=URL for each member, of its /health. Given: pki, timeout and period in seconds.
now; echo "begin $now"
etcd() {
  now; t=$now
  output=$(curl -q -sS --noproxy '*' --connect-timeout "$timeout" --max-time "$timeout" \
    --capath /dev/null --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
    --key "$pki/healthcheck-client.key" "$2" 2>&1); r=$?
  # shellcheck disable=SC2086  # on one line
  set -- "$1" $output; name=$1; shift
  printf 'etcd %s %s %s %s\n' "$name" "$t" "$r" "$*"
}
while :; do
  for member; do etcd "${member%%=*}" "${member#*=}" & done
  sleep "$period"
done
