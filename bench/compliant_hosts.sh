# Chapters 5, 7 and 9. What a lab host shares with the machine (swap, modules) is left alone.
# Given: vip.
set -e
echo "$vip master.k8s.io k8s-vip" >>/etc/hosts
cat >/etc/sysctl.d/k8s.conf <<END
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
END
sysctl -q -p /etc/sysctl.d/k8s.conf
echo br_netfilter >/etc/modules-load.d/k8s.conf
cat >/etc/security/limits.d/k8s.conf <<END
* soft nofile 65536
* hard nofile 65536
* soft nproc 65536
* hard nproc 65536
* soft memlock unlimited
* hard memlock unlimited
END
