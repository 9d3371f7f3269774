# Arguments: a process with a network namespace of its own, the name of a link to it, its address there,
# and the address here. From then on each reaches the other.
pid=$1 name=$2 there=$3 here=$4
ip link add "$name" type veth peer name eth0 netns "$pid"
nsenter --target "$pid" --net ip address add "$there/32" dev eth0
nsenter --target "$pid" --net ip link set eth0 up
nsenter --target "$pid" --net ip route add "$here/32" dev eth0 src "$there"
ip link set "$name" up
ip route add "$there/32" dev "$name" src "$here"
