# Given: url; resolved, words for --resolve, an address each, or empty; ca; certificate (with its key,
# for a cluster that refuses anonymous requests); timeout of a request and connect, of a connection, in
# seconds; period in hundredths of a second.
for tool in curl sleep; do
  command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 127; }
done
[ -r "$ca" ] || { echo "$ca is missing: the host has joined no cluster" >&2; exit 3; }
# A variable, because curl in a function would cost each request a fork.
curl="curl -q -g -sS --noproxy * --http1.1 -o /dev/null --connect-timeout $connect"
curl="$curl --cacert $ca --capath /dev/null"
cert=
first=${resolved%% *}
case $($curl --max-time "$timeout" ${first:+--resolve "$first"} -w '%{http_code}' "$url" 2>/dev/null) in
401|403) [ ! -r "$certificate" ] || cert="--cert $certificate" ;;
esac
# One address after the other, as curl does with several: but curl 7.88, of Debian 12, looks once a
# second whether it should move on, and so finds that half of two seconds are over when both are.
ask() {
  n=$1 began=$now left=$((timeout * 100))
  for at in ${resolved:-none}; do
    [ "$at" != none ] || at=
    # shellcheck disable=SC2086  # words
    output=$($curl $cert --max-time $((left / 100)).$((left % 100 / 10)) ${at:+--resolve "$at"} \
      -w '= %{http_code} %{time_total}' "$url" 2>&1); r=$?
    now
    left=$((timeout * 100 - now + began))
    # 7: no connection. 28: none in time, if some of the request's own time is left.
    case $r in 7 | 28) [ $left -lt 10 ] || continue ;; esac
    break
  done
  # shellcheck disable=SC2086  # on one line
  set -- $output
  printf 'ask %s %s %s %s %s\n' "$n" "$began" "$now" "$r" "$*"
}
now; start=$now; n=0
echo "begin $now"
while :; do
  now
  wait_ms=$((start + n * period - now))
  if [ $wait_ms -gt 9 ]; then sleep 0.1
  elif [ $wait_ms -gt 0 ]; then sleep 0.0$wait_ms
  fi
  [ $wait_ms -gt -100 ] || { echo "late $now"; start=$((now - n * period)); }
  # Read here, not behind the &: on a busy host a later process may run before an earlier one.
  [ $wait_ms -gt 9 ] || {
    case $resolved in *' '*) resolved="${resolved#* } ${resolved%% *}" ;; esac
    now; ask $n & n=$((n + 1))
  }
done
