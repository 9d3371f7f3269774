# Arguments: addresses, the VIP last.
for a; do
  echo "of any $a" && ip -o addr show to "$a" && echo "of up $a" && ip -o addr show up to "$a" ||
    exit
done
# A keepalived of the site's may put it on a master where the inventory's endpoint is external.
if grep -qsx keepalived /proc/[0-9]*/comm &&
  sed 's/[#!].*//' /etc/keepalived/keepalived.conf 2>/dev/null | grep -qwF -- "$a"; then
  echo "keepalived has $a"
fi
