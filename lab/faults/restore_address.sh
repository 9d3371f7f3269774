# Given: address. Undoes take_address.sh.
ip route del local "$address" dev lo
ip address del 10.208.1.77/24 dev eth0
ip address add "$address/24" dev eth0
ip route add default via 10.208.1.1
