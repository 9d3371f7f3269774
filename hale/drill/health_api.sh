# Given: kubeconfig; socket and errors (files). Then health_poll.sh.
now; echo "begin $now"
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
flag() { sed -n "s/^ *- --$1=//p" $manifest | head -n 1; }
server=$(flag advertise-address); port=$(flag secure-port)
case $server in *:*) server="[$server]";; esac
[ -n "$server" ] && [ -r "$kubeconfig" ] || {
  echo "no kubeadm control plane on this host" >&2; exit 3
}
rm -f "$socket"
kubectl --kubeconfig="$kubeconfig" --server="https://$server:${port:-6443}" proxy \
  --unix-socket="$socket" >/dev/null 2>"$errors" &
