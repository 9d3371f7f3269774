# After local_apiserver.sh. Given: dns, pods, service (paths; to that of the pods a selector is added),
# label (of kubeadm's CoreDNS), table (a header). Cluster DNS may have another name: its pods are those
# that the Service kube-dns selects, as the last cell of its row has it.
selector=$(api dns "$dns" -H "$table" | sed -n 's/.*"cells":\[[^]]*,"\([^"]*\)"\].*/\1/p')
case $selector in '' | *[!A-Za-z0-9=,._/-]*) selector=$label ;; esac
api pods "$pods$(printf '%s' "$selector" | sed 's/=/%3D/g; s/,/%2C/g; s|/|%2F|g')" -H "$table"
api service "$service" -H "$table"
