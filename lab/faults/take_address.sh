# Given: address. The host answers for it, but no interface has it.
ip address del "$address/24" dev eth0
ip address add 10.208.1.77/24 dev eth0
ip route add default via 10.208.1.1
ip route add local "$address" dev lo
