# A unit that nothing starts, an ufw that is switched off, and a comment.
printf '[Service]\nExecStart=/sbin/sysctl -w net.ipv4.ip_forward=0\n' \
  >/etc/systemd/system/harden.service
mkdir -p /etc/ufw
echo ENABLED=no >/etc/ufw/ufw.conf
echo net/ipv4/ip_forward=0 >/etc/ufw/sysctl.conf
printf '#!/bin/sh\n# echo 0 >/proc/sys/net/ipv4/ip_forward\n' >/etc/rc.local
chmod 755 /etc/rc.local
