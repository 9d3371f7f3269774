# The pod network and what the site runs, from files in /root.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl create namespace tenant
kubectl -n tenant create secret generic tenant --from-file=key=/root/company/sa.key
kubectl apply -f /root/network.yaml -f /root/site.yaml
