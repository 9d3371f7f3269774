# Arguments: the endpoints. Given: ca, cert, key (files, may be empty), range (a request in JSON).
need curl tr
for f in "$ca" "$cert" "$key"; do [ -z "$f" ] || [ -e "$f" ] || echo "missing $f"; done
for at; do
  capture curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 8 --capath /dev/null \
    ${ca:+--cacert "$ca"} ${cert:+--cert "$cert"} ${key:+--key "$key"} "$at/v3/kv/range" \
    -d "$range"
  printf 'at %s %s %s\n' "$at" "$r" "$(flat "$output")"
done
