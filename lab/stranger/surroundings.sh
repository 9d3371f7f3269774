# What a node has besides: volumes with files in them, and a file of the site's own beside kubeadm's.
# It may run again.
set -eu
# A share, by a tmpfs, mounted as the kubelet mounts one for a pod; and a bind mount.
mkdir -p /srv/share /srv/disks/shop /srv/disks/bound
mountpoint -q /srv/share || mount -t tmpfs share /srv/share
for folder in /srv/share /srv/disks/shop /srv/disks/bound; do
  mkdir -p "$folder/more"
  [ -e "$folder/orders" ] || echo "orders of $(hostname)" > "$folder/orders"
  [ -e "$folder/more/kept" ] || echo kept > "$folder/more/kept"
done
pod=/var/lib/kubelet/pods/5e1f0000-0000-4000-8000-000000000019/volumes
for volume in kubernetes.io~nfs/share:/srv/share kubernetes.io~local-volume/bound:/srv/disks/bound; do
  mkdir -p "$pod/${volume%%:*}"
  mountpoint -q "$pod/${volume%%:*}" || mount --bind "${volume#*:}" "$pod/${volume%%:*}"
done
mkdir -p "$pod/kubernetes.io~csi/memory"
mountpoint -q "$pod/kubernetes.io~csi/memory" || mount -t tmpfs memory "$pod/kubernetes.io~csi/memory"
# A policy of the site's own, where Kubernetes' documentation puts such files.
policy=/etc/kubernetes/policies/audit.yaml
mkdir -p "${policy%/*}"
[ -e "$policy" ] || printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n' > "$policy"
