# By hand: host settings, packages, services.
# master: yes or empty. images: to be pulled. firewall: yes where nftables.service drops.
# root_only: yes where the host has no ordinary user.
set -eu
export DEBIAN_FRONTEND=noninteractive
# Where the machine's disk is: the store of containerd lies on a disk of its own.
mkdir -p /data
grep -q ' /data ' /etc/fstab 2>/dev/null ||
  echo '/var/lib/containerd /data none bind 0 0' >> /etc/fstab
mountpoint -q /data || mount --bind /var/lib/containerd /data
mkdir -p /data/containerd
if systemctl cat firewalld >/dev/null 2>&1; then
  systemctl -q disable --now firewalld
  systemctl -q mask firewalld
fi
sysctl -q -p /etc/sysctl.d/kubernetes.conf 2>/dev/null || :
[ -z "$root_only" ] || userdel -r ops 2>/dev/null || :
[ -z "$firewall" ] || systemctl -q enable --now nftables
mkdir -p /etc/apt/keyrings
apt-get -qq update
# shellcheck disable=SC2086  # names
apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold install \
  containerd runc containernetworking-plugins kubelet kubeadm kubectl conntrack \
  ${master:+haproxy keepalived etcd-client} >/dev/null
systemctl -q enable containerd
systemctl -q is-active containerd
[ -z "$master" ] || systemctl -q enable haproxy keepalived
[ -z "$master" ] || systemctl restart haproxy keepalived
