# Given: pki, manifest, port.
enter /etc/kubernetes /etc/kubernetes/manifests /etc/kubernetes/pki "$pki"
cat /proc/net/tcp >/dev/null || exit 3
if [ -e "$manifest" ]; then echo manifest; else echo no manifest; fi
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
  grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$port") [0-9A-F:]* 0A " || { echo closed; exit 0; }
echo open
need curl
for f in ca.crt healthcheck-client.crt healthcheck-client.key; do
  [ -e "$pki/$f" ] || { echo "something listens on $port, but $pki/$f is missing" >&2; exit 3; }
  readable "$pki/$f"
done
ask() {
  name=$1; path=$2; shift 2
  capture curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 5 --capath /dev/null \
    --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
    --key "$pki/healthcheck-client.key" "$@" "https://127.0.0.1:$port$path"
  printf '%s %s %s\n' "$name" "$r" "$(flat "$output")"
}
ask status /v3/maintenance/status -d '{}'
ask members /v3/cluster/member/list -d '{}'
ask health /health
