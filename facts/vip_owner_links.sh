# This host's interfaces and addresses, and each of keepalived's scripts: whether the host has its
# program. A program's arguments may be secret.
need sed sort ip
for d in /sys/class/net/*; do echo "link ${d##*/}"; done
ip -o addr show | sed -nE 's/^[0-9]+: +[^ ]+ +inet6? +([^ /]+).*/address \1/p' || exit
b='[[:space:]]'
for f in /etc/keepalived/*.conf /etc/keepalived/*/*.conf; do
  [ -f "$f" ] || continue
  readable "$f"
  sed -nE "/^$b*vrrp_script$b/{h;s/^$b*vrrp_script$b+[\"']?([^\"'{[:space:]]+).*/\1/;x;}
    /(^|\{)$b*script$b/{s/^(.*\{)?$b*script$b+[\"']?([^\"'[:space:]]+).*/\2/;G
    s/(.*)\n(.*)/\2 \1/p;}" "$f"
done | sort -u | while read -r name p; do
  if command -v "$p" >/dev/null; then r=yes; else r=no; fi
  echo "program $r $name $p"
done
