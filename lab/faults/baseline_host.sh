# Given: limits (lines of limits.conf). The CA's certificate comes on standard input.
set -e
echo '10.208.1.190 master.k8s.io k8s-vip' >>/etc/hosts
# A name that sorts before 99-sysctl.conf, Debian's link to /etc/sysctl.conf.
cat >/etc/sysctl.d/60-kubernetes.conf <<'EOF'
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
fs.inotify.max_user_instances = 512
fs.inotify.max_user_watches = 524288
EOF
echo br_netfilter >/etc/modules-load.d/kubernetes.conf
printf '%s\n' "$limits" >>/etc/security/limits.conf
systemctl restart systemd-sysctl
if [ -e /usr/sbin/firewalld ]; then
  systemctl --quiet disable --now firewalld
  systemctl --quiet mask firewalld
fi
install -D -m 644 /dev/stdin /etc/kubernetes/pki/ca.crt
