# Terminate the node's containers before kubeadm reset kills what is left. Terminated first, as on a
# node's shutdown, the pod network's daemons remove their rules, routes and interfaces, which only
# they know. The apiserver is not terminated: it would wait for its etcd.
# daemons: containerd's filter for these containers. grace: seconds.
systemctl stop kubelet 2>/dev/null || :
if [ -S /run/containerd/containerd.sock ]; then
  ids=$(ctr -n k8s.io containers ls -q "$daemons" | xargs)
  pids=$(ctr -n k8s.io tasks ls | awk -v ids="$ids" '
    BEGIN { n = split(ids, i); while (n) of[i[n--]] } $1 in of && $2 { print $2 }')
  for c in $ids; do ctr -n k8s.io tasks kill "$c" >/dev/null 2>&1 || :; done
  for _ in $(seq $((2 * grace))); do
    remaining=
    for p in $pids; do [ ! -e "/proc/$p" ] || remaining="$remaining $p"; done
    [ -n "$remaining" ] || break
    sleep 0.5
  done
fi
