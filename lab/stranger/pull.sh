# Images, before kubeadm wants them. images: their names in the registry.
set -eu
for image in $images; do
  ctr -n k8s.io images pull --plain-http "$image" >/dev/null
done
