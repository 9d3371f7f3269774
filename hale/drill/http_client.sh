# Given: url; resolved, words for --resolve, each taken in turn, or empty; ca; certificate (with its key, for a cluster that refuses anonymous requests);
# timeout in seconds; period in hundredths of a second.
for tool in curl sleep; do
  command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 127; }
done
[ -r "$ca" ] || { echo "$ca is missing: the host has joined no cluster" >&2; exit 3; }
# A variable, because curl in a function would cost each request a fork.
curl="curl -q -g -sS --noproxy * --http1.1 -o /dev/null --connect-timeout $timeout"
curl="$curl --max-time $timeout --cacert $ca --capath /dev/null"
cert=
resolve=${resolved%% *}
case $($curl ${resolve:+--resolve "$resolve"} -w '%{http_code}' "$url" 2>/dev/null) in
401|403) [ ! -r "$certificate" ] || cert="--cert $certificate" ;;
esac
ask() {
  began=$now
  # shellcheck disable=SC2086  # words
  output=$($curl $cert ${resolve:+--resolve "$resolve"} -w '= %{http_code} %{time_total}' "$url" 2>&1); r=$?
  # shellcheck disable=SC2086  # on one line
  set -- "$1" $output
  n=$1; shift
  now
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
    case $resolved in *' '*) resolved="${resolved#* } $resolve" resolve=${resolved%% *} ;; esac
    now; ask $n & n=$((n + 1))
  }
done
