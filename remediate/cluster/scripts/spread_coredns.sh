# shellcheck disable=SC2086  # words of a command
# Delete surplus CoreDNS pods until enough nodes have one. What the apiserver refuses while control-plane
# nodes join is tried again.
# kubectl: the command, with its options. nodes: how many are enough.
k() { $kubectl -n kube-system "$@"; }
n=0
while n=$((n + 1)); [ $n -le 10 ]; do
  k rollout status deployment coredns --timeout 60s || { sleep 2; continue; }
  pods=$(k get pods -l k8s-app=kube-dns --field-selector status.phase=Running --no-headers \
    -o custom-columns=:.spec.nodeName,:.metadata.name) || { sleep 2; continue; }
  [ "$(echo "$pods" | awk '{ print $1 }' | sort -u | grep -c .)" -lt "$nodes" ] || exit 0
  second=$(echo "$pods" | sort | awk '$1 == last { print $2; exit } { last = $1 }')
  [ -n "$second" ] || exit 0
  echo "deleting $second, which is not alone on its node"
  k delete pod "$second" --timeout 60s || sleep 2
done
echo "the new pods are scheduled to the same node every time" >&2
exit 1
