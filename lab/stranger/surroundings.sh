# What other programs have on a node: volumes with files in them, podman's network, virtual servers
# of keepalived.
set -eu
# A share, by a tmpfs, mounted as the kubelet mounts one for a pod; and a bind mount.
mkdir -p /srv/share /srv/disks/shop /srv/disks/bound
mountpoint -q /srv/share || mount -t tmpfs share /srv/share
for folder in /srv/share /srv/disks/shop /srv/disks/bound; do
  echo "orders of $(hostname)" > "$folder/orders"
  mkdir -p "$folder/more"
  echo kept > "$folder/more/kept"
done
pod=/var/lib/kubelet/pods/5e1f0000-0000-4000-8000-000000000019/volumes
for volume in kubernetes.io~nfs/share:/srv/share kubernetes.io~local-volume/bound:/srv/disks/bound; do
  mkdir -p "$pod/${volume%%:*}"
  mountpoint -q "$pod/${volume%%:*}" || mount --bind "${volume#*:}" "$pod/${volume%%:*}"
done
mkdir -p "$pod/kubernetes.io~csi/memory"
mountpoint -q "$pod/kubernetes.io~csi/memory" || mount -t tmpfs memory "$pod/kubernetes.io~csi/memory"
