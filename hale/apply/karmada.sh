# Functions: `karmada` is kubectl against Karmada's own apiserver, with the administrator's kubeconfig
# out of its Secret, a file in memory as long as this runs; `cluster` is kubectl of the cluster itself.
# Given: namespace; memory: a folder that is no disk.
cluster() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 30s "$@"; }
dns_pods() {
  cluster -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={range .items[*]}pod {.status.podIP} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
    sed -n 's/ True$//p'
}
umask 077
memory=$(mktemp -d "$memory/hale-karmada.XXXXXX")
trap 'rm -rf -- "$memory"' EXIT
trap 'exit 1' HUP INT TERM
