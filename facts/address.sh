# Arguments: addresses.
for a; do
  echo "of any $a" && ip -o addr show to "$a" && echo "of up $a" && ip -o addr show up to "$a" ||
    exit
done
# Files that systemd-networkd, which runs as a user of its own, cannot read.
private systemd-network /etc/systemd/network/*.network /etc/systemd/network/*.network.d/*.conf
