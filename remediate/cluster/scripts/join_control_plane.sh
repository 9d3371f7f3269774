# Join as a control-plane node. kubeadm points its kubelet at the apiserver that the kubelet itself
# has to start. Before that is up the kubelet can request neither its certificate nor the Services,
# and retries with growing delays; restarted once the apiserver is ready, it retries immediately.
# readyz: the command that prints the HTTP status of this node's /readyz. Reads kubeadm's
# configuration from standard input; leaves its exit status in `joined`. After begin_join.sh.
(
  until [ "$(eval "$readyz" || :)" = 200 ]; do
    kill -0 $$ || exit
    sleep 0.5
  done
  systemctl restart kubelet
) >/dev/null 2>&1 </dev/null &
restart=$!
joined=0
kubeadm join --config /dev/stdin || joined=$?
kill $restart 2>/dev/null || :
wait $restart || [ $joined != 0 ] || systemctl restart kubelet
