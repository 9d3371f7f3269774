# After a `kubectl proxy` was started. Given: socket and errors (files); timeout and period in seconds;
# leases and lists (URLs, of objects, which may be none, and of tables); names (what a record calls
# each of them). Lines can be long, so only one process writes them. curl marks the end of each
# response, so that a missing one is not mistaken for the next.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ ! -S "$socket" ] || break; sleep 0.5
done
[ -S "$socket" ] || { cat "$errors" >&2; exit 3; }
options="-sS --max-time $timeout --unix-socket $socket -A hale-drill -w \\n@\\n"
table='Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
while :; do
  now
  # shellcheck disable=SC2086  # words
  curl -q $options ${leases:+$leases --next $options} -H "$table" $lists 2>/dev/null |
    awk -v t="$now" -v names="$names" 'BEGIN { split(names, name); n = 1 }
      /^@$/ { if (!answered) print name[n] " . " t " 28 no answer"; n++; answered = 0; next }
      length { print name[n] " . " t " 0 " $0; answered = 1 }'
  sleep "$period"
done
