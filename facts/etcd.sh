# Given: pki, manifest, port.
for d in /etc/kubernetes /etc/kubernetes/manifests /etc/kubernetes/pki "$pki"; do
  [ ! -d "$d" ] || [ -x "$d" ] || { echo "$d is not searchable by this user" >&2; exit 3; }
done
cat /proc/net/tcp >/dev/null || exit 3
if [ -e "$manifest" ]; then echo manifest; else echo no manifest; fi
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
  grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$port") [0-9A-F:]* 0A " || { echo closed; exit 0; }
echo open
command -v curl >/dev/null || { echo "curl is not installed" >&2; exit 127; }
for f in ca.crt healthcheck-client.crt healthcheck-client.key; do
  [ -e "$pki/$f" ] || { echo "something listens on $port, but $pki/$f is missing" >&2; exit 3; }
  [ -r "$pki/$f" ] || { echo "$pki/$f is not readable by this user" >&2; exit 3; }
done
ask() {
  name=$1; path=$2; shift 2
  said=$(curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 5 --capath /dev/null \
    --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" \
    --key "$pki/healthcheck-client.key" "$@" "https://127.0.0.1:$port$path" 2>&1); r=$?
  printf '%s %s %s\n' "$name" "$r" "$(printf '%s' "$said" | tr '\n' ' ')"
}
ask status /v3/maintenance/status -d '{}'
ask members /v3/cluster/member/list -d '{}'
ask health /health
