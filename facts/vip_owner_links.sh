# This host's interfaces and addresses, and each program that keepalived's scripts name: whether the
# host has it.
need sed sort ip
for d in /sys/class/net/*; do echo "link ${d##*/}"; done
ip -o addr show | sed -nE 's/^[0-9]+: +[^ ]+ +inet6? +([^ /]+).*/address \1/p' || exit
b='[[:space:]]'
for f in /etc/keepalived/*.conf /etc/keepalived/*/*.conf; do
  [ -f "$f" ] || continue
  readable "$f"
  sed -nE "s/^$b*script$b+[\"']?([^\"'[:space:]]+).*/\1/p" "$f"
done | sort -u | while read -r p; do
  if command -v "$p" >/dev/null; then echo "program yes $p"; else echo "program no $p"; fi
done
