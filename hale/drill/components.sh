# Arguments: addresses. Given: host, path. Prints the HTTP status that each gives to the route; 000 for
# none.
for at; do
  resolve=
  [ "$host" = "$at" ] || resolve=$host:80:$at
  status=$(curl -q -g -s --noproxy '*' -o /dev/null --connect-timeout 2 --max-time 4 \
    -w '%{http_code}' ${resolve:+--resolve "$resolve"} "http://$host$path") || :
  echo "${status:-000}"
done
