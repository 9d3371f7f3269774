# Given: ports. Prints a script of nft: a firewall that drops what it does not name.
cat <<END
table inet site {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif lo accept
    meta l4proto { icmp, ipv6-icmp, vrrp } accept
    tcp dport { $ports } accept
    udp dport { 123, 323 } accept
  }
}
END
