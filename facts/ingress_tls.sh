# After ingress_requests.sh: ingresses, listeners, routes, vias, open. Given: most, of Secrets and of hosts.
# What each host is served over TLS, and the certificates of the Secrets that Ingresses and Gateways
# name for it. Of a Secret only its certificate is kept: the key goes through a pipe, and is not printed.
# Of each only the first certificate, the server's own.
leaf() { sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/{p;/^-----END/q;}'; }
of_tls() {
  while IFS= read -r line; do
    plain "$line"
    case $line in
    '        "namespace": '*) n=$v refs='' ;;
    '            "secretName": '*) echo "$n/$v" ;;
    '              "certificateRefs": ['*) refs=1 ;;
    '              ]'*) refs='' ;;
    '                {') s='' of=$n kind=Secret ;;
    '                  "kind": '*) kind=$v ;;
    '                  "name": '*) s=$v ;;
    '                  "namespace": '*) of=$v ;;
    '                }'*) [ -z "$refs$s" ] || [ -z "$refs" ] || [ "$kind" != Secret ] || echo "$of/$s" ;;
    esac
  done
}
named=$(printf '%s\n' "$ingresses" "$listeners" | of_tls | grep -E '^[a-z0-9-]+/[a-z0-9.-]+$' |
  sort -u | head -n "$most")
[ -n "$named" ] || exit 0
need base64 date
date '+now %s'
secrets=$(for name in $named; do
  curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \
    --cacert "$pki/ca.crt" --cert "$pki/apiserver-kubelet-client.crt" \
    --key "$pki/apiserver-kubelet-client.key" -w '\n@ %{http_code}\n' \
    "https://$at/api/v1/namespaces/${name%/*}/secrets/${name#*/}?pretty=true" 2>/dev/null |
    sed -nE 's/^ {4}"tls.crt": "([A-Za-z0-9+\/=]*)",?$/\1/p; s/^@ ([0-9]{3})$/@ \1/p' | {
    text=''
    while read -r word value; do
      case $word in @) echo "secret $name $value" ;; *) text=$word ;; esac
    done
    [ -z "$text" ] || printf '%s' "$text" | base64 -d 2>/dev/null | leaf
  }
done)
printf '%s\n' "$secrets"
if ! command -v openssl >/dev/null || ! command -v timeout >/dev/null; then
  echo "no openssl"
  exit 0
fi
# handshake ADDRESS HOST
handshake() { timeout 3 openssl s_client -connect "$1:443" -servername "$2" </dev/null 2>/dev/null; }
read -r uptime _ </proc/uptime; end=$((${uptime%.*} + 8))
hosts=$(printf '%s\n' "$routes" | cut -d' ' -f2 | sort -u | grep -vxF -e - | head -n "$most")
# Nodes are requested for hosts with the certificate of a Secret; what is printed is another one.
over_tls=$(printf '%s\n' "$open" | sed -n 's/ 443$//p')
for host in "$unknown_host" $hosts; do
  host=$(requested_host "$host") own=
  for via in $vias; do
    in_time || break
    served=$(handshake "$(bracketed "${via#*=}")" "$host" | leaf)
    printf 'served %s %s\n%s\n' "${via%%=*}" "$host" "${served:-none}"
    [ -z "$served" ] || case $secrets in *"$served"*) own=$served from=${via%%=*} ;; esac
  done
  [ -n "$own" ] || continue
  for node in $over_tls; do
    in_time || break
    served=$(handshake "$(bracketed "${node#*=}")" "$host" | leaf)
    if [ "$served" = "$own" ]; then
      echo "alike ${node%%=*} $host $from"
    else
      printf 'served %s %s\n%s\n' "${node%%=*}" "$host" "${served:-none}"
    fi
  done
done
echo "tls done"
